//! Steps `audit` and `openssl`: the same answers from the files alone, and from a program of others.

use crate::demo::arrivals::failed;
use crate::demo::containment::REVOKED;
use crate::demo::installation::{Installation, PATIENCE, now};
use crate::demo::ledger::Proof;
use core::time::Duration;
use std::path::{Path, PathBuf};
use std::process::Output as Ran;
use std::time::Instant;
use tokio::process::Command;
use touchmark_dial::{HttpClient, Request};
use touchmark_touchmark::credential::CredentialDir;
use touchmark_touchmark::failure::Failure;
use touchmark_touchmark::services::process;

pub(crate) async fn audit(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let witness = installation.folder().join("witness");
    let kept = installation.witness.as_ref().ok_or_else(|| failed("no head was kept at the start"))?;
    std::fs::write(&witness, kept)
        .map_err(|error| Failure::internal("the witness cannot be written").why(error.to_string()))?;
    if sabotaged {
        cut_entries(&installation.home.path().join("log/tile/entries"))?;
    }
    let mut command = process::own()?;
    command.args(["audit", "verify", "--json", "--witness"]).arg(&witness);
    command.arg("--data").arg(installation.home.path());
    let started = Instant::now();
    let ran = run(command).await?.ok_or_else(|| failed("this program does not start"))?;
    let took = started.elapsed();
    if !ran.status.success() {
        return Err(failed(&text(&ran.stderr).lines().take(3).collect::<Vec<_>>().join(" ")));
    }
    let outcome: serde_json::Value = serde_json::from_slice(&ran.stdout)
        .map_err(|error| Failure::internal("the audit's answer is no JSON").why(error.to_string()))?;
    let number = |name: &str| outcome.get(name).and_then(serde_json::Value::as_u64).unwrap_or_default();
    let word = |name: &str| outcome.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let decisions =
        outcome.pointer("/gateways/0/decisions").and_then(serde_json::Value::as_u64).unwrap_or_default();
    Ok(Proof {
        took,
        says: format!(
            "{} leaves, {} rows equal a replay, {decisions} decisions without a gap, {}",
            number("size"),
            number("rows"),
            word("witness")
        ),
        proof: format!("root {}", word("root").chars().take(16).collect::<String>()),
    })
}

/// The server may be writing a larger tile meanwhile: the newest files of every size are cut.
fn cut_entries(folder: &Path) -> Result<(), Failure> {
    let fault = |error: std::io::Error| Failure::internal("a tile cannot be cut").why(error.to_string());
    for entry in std::fs::read_dir(folder).map_err(fault)? {
        let path = entry.map_err(fault)?.path();
        if path.is_dir() {
            cut_entries(&path)?;
        } else {
            let file = std::fs::File::options().write(true).open(&path).map_err(fault)?;
            let length = file.metadata().map_err(fault)?.len();
            file.set_len(length.saturating_sub(1)).map_err(fault)?;
        }
    }
    Ok(())
}

/// `None` when OpenSSL is not installed.
pub(crate) async fn openssl(
    installation: &mut Installation,
    sabotaged: bool,
) -> Result<Option<Proof>, Failure> {
    let mut version = Command::new("openssl");
    version.arg("version");
    let Some(version) = run(version).await? else { return Ok(None) };
    let good = CredentialDir::new(installation.device("pump-01")?.folder.clone()).chain();
    let revoked = CredentialDir::new(installation.device(REVOKED)?.folder.clone()).chain();
    let started = Instant::now();
    let crls = crls(installation).await?;
    let at = sabotaged.then(|| now().unix_s() + 10 * 365 * 86_400);
    let verified = verify(installation, &good, &crls, at).await?;
    if !verified.status.success() {
        return Err(failed(&format!("openssl verify refuses pump-01: {}", text(&verified.stderr))));
    }
    let refused = verify(installation, &revoked, &crls, None).await?;
    let words = text(&refused.stderr);
    if refused.status.success() || !words.contains("certificate revoked") {
        return Err(failed(&format!("openssl verify does not find {REVOKED} revoked: {words}")));
    }
    Ok(Some(Proof {
        took: started.elapsed(),
        says: format!("{}: pump-01 OK, {REVOKED} certificate revoked, by the CRL", text(&version.stdout)),
        proof: crl_number(&crls),
    }))
}

/// From the text that stands before the PEM.
fn crl_number(crls: &Path) -> String {
    let text = std::fs::read_to_string(crls).unwrap_or_default();
    let number = text.lines().skip_while(|line| !line.contains("X509v3 CRL Number")).nth(1);
    format!("CRL number {}", number.unwrap_or("no data").trim())
}

async fn verify(
    installation: &Installation,
    chain: &Path,
    crls: &Path,
    at: Option<u64>,
) -> Result<Ran, Failure> {
    let mut command = Command::new("openssl");
    command.args(["verify", "-crl_check", "-CAfile", &installation.ready.ca]);
    command.arg("-CRLfile").arg(crls).arg("-untrusted").arg(chain);
    if let Some(at) = at {
        command.args(["-attime", &at.to_string()]);
    }
    command.arg(chain);
    run(command).await?.ok_or_else(|| failed("openssl vanished"))
}

/// Waits for a CRL that lists the revoked certificate, as anybody may fetch it, and writes it as PEM.
async fn crls(installation: &Installation) -> Result<PathBuf, Failure> {
    let url = installation.ready.crl.clone().ok_or_else(|| failed("the server names no CRL"))?;
    let (base, path) = split(&url).ok_or_else(|| failed(&format!("{url} is no address of a CRL")))?;
    let mut client = HttpClient::new(base.parse()?, None)?;
    let der = installation.folder().join("crl.der");
    let pem = installation.folder().join("crl.pem");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = client.send(Request::get(path)).await?.ok()?;
        std::fs::write(&der, &answer.body)
            .map_err(|error| Failure::internal("the CRL cannot be written").why(error.to_string()))?;
        let mut command = Command::new("openssl");
        command.args(["crl", "-inform", "DER", "-text", "-in"]).arg(&der).arg("-out").arg(&pem);
        command.args(["-CAfile", &installation.ready.ca]);
        let ran = run(command).await?.ok_or_else(|| failed("openssl vanished"))?;
        if !ran.status.success() || !text(&ran.stderr).contains("verify OK") {
            return Err(failed(&format!("openssl crl: {}", text(&ran.stderr))));
        }
        let listed = std::fs::read_to_string(&pem).unwrap_or_default().contains("Serial Number:");
        if listed || Instant::now() > deadline {
            return Ok(pem);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

fn split(url: &str) -> Option<(&str, &str)> {
    let after_scheme = url.find("://")? + 3;
    let slash = after_scheme + url.get(after_scheme..)?.find('/')?;
    url.split_at_checked(slash)
}

/// `None` when there is no such program.
async fn run(mut command: Command) -> Result<Option<Ran>, Failure> {
    command.stdin(std::process::Stdio::null()).kill_on_drop(true);
    let ran = tokio::time::timeout(PATIENCE, command.output()).await;
    match ran {
        Ok(Ok(ran)) => Ok(Some(ran)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Ok(Err(error)) => Err(Failure::internal("a program does not start").why(error.to_string())),
        Err(_) => Err(failed("a program does not end")),
    }
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).trim().to_owned()
}
