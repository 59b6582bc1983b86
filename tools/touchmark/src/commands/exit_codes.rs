//! `touchmark help-exit-codes`.

use crate::failure::{Exit, Failure};
use crate::output::Output;
use serde_json::json;

pub(crate) fn run(output: &Output) -> Result<Exit, Failure> {
    if output.is_machine() {
        let codes: Vec<_> =
            Exit::ALL.iter().map(|(exit, says)| json!({"code": exit.code(), "means": says})).collect();
        output.json(&codes)?;
    } else {
        for (exit, says) in Exit::ALL {
            output.line(&format!("{:>3}  {says}", exit.code()));
        }
    }
    Ok(Exit::Ok)
}
