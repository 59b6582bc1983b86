//! `touchmark-demo`: the demonstration and its devices, beside every command of the product.
//!
//! All of its processes are this program again: one build is enough.
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod demo;
mod publish;
mod scripted;
mod steady;

use clap::Subcommand;
use std::process::ExitCode;
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::home::Home;
use touchmark_touchmark::output::Output;
use touchmark_touchmark::{Command as Product, Commands};

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs a small installation of devices and measures every promise
    Demo(demo::Demo),
    /// Publishes as a device, again and again, through renewals
    Publish(publish::Publish),
    /// One device as a process, driven by lines on stdin
    #[command(hide = true)]
    Scripted(scripted::Run),
    #[command(flatten)]
    Product(Product),
}

impl Commands for Command {
    fn is_service(&self) -> bool {
        matches!(self, Self::Product(command) if command.is_service())
    }

    fn acts(&self) -> bool {
        match self {
            Self::Demo(_) | Self::Publish(_) | Self::Scripted(_) => true,
            Self::Product(command) => command.acts(),
        }
    }

    async fn run(self, home: &Home, output: &Output) -> Result<Exit, Failure> {
        match self {
            Self::Demo(order) => demo::run(order, output).await,
            Self::Publish(order) => publish::run(order, home, output).await,
            Self::Scripted(order) => scripted::run(order).await,
            Self::Product(command) => command.run(home, output).await,
        }
    }
}

fn main() -> ExitCode {
    touchmark_touchmark::run::<Command>()
}
