//! `touchmark`: the one program that people install.

use std::process::ExitCode;
use touchmark_touchmark::Command;

fn main() -> ExitCode {
    touchmark_touchmark::run::<Command>()
}
