//! Runs an authority by itself on a directory: `cargo run -p touchmark-authority --example up -- DIR`.
use std::time::Duration;
use touchmark_authority::{AuthorityConfig, start};
use touchmark_listen::Clock;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let data = std::env::args().nth(1).ok_or("give a directory")?.into();
    let config = AuthorityConfig {
        data,
        listen: [127, 0, 0, 1].into(),
        est_port: 0,
        api_port: 0,
        public_port: 0,
        passphrase_file: None,
        default_environment: "lab".parse()?,
        device_lifetime: Duration::from_secs(30 * 86_400),
    };
    let authority = start(config, Clock::system()).await?;
    println!("{}", serde_json::to_string_pretty(&authority.ready())?);
    tokio::signal::ctrl_c().await?;
    authority.stop();
    authority.stopped().await;
    Ok(())
}
