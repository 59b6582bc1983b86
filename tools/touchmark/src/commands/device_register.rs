//! `touchmark device register`: which device a maker's piece of hardware is to become.

use crate::failure::{Exit, Failure};
use crate::home::Home;
use crate::management::Management;
use crate::output::Output;
use clap::Args;
use touchmark_api::{Device, HardwareOrder, or_no_data};
use touchmark_identity::{EnvironmentName, Name};

#[derive(Debug, Args)]
pub(crate) struct Register {
    /// The device, made if there is none of that name
    name: Name,
    /// Environment
    #[arg(long, default_value = "lab")]
    env: EnvironmentName,
    /// Who made the hardware
    #[arg(long, value_name = "NAME")]
    maker: Name,
    /// Its identifier, letter for letter as the maker's certificate states it: the subject's serialNumber, or the
    /// number in the hardwareModuleName; octets that are no text as `hex:00abff`
    #[arg(long, value_name = "ID")]
    hardware_id: String,
    /// Model of a new device
    #[arg(long)]
    model: Option<Name>,
}

pub(crate) async fn run(order: Register, home: &Home, output: &Output) -> Result<Exit, Failure> {
    let order = HardwareOrder {
        environment: order.env,
        device: order.name,
        maker: order.maker,
        hardware_id: order.hardware_id,
        model: order.model,
    };
    let device: Device = Management::open(home)?.post("/v1/devices", &order).await?;
    output.one(&device, &or_no_data(device.name.as_ref()), |one| {
        let [name, environment] = [or_no_data(one.name.as_ref()), or_no_data(one.environment.as_ref())];
        format!("device       {name}\nid           {}\nenvironment  {environment}", one.id)
    })?;
    output.note("It enrols by itself with its maker's certificate: POST simpleenroll, no token.");
    Ok(Exit::Ok)
}
