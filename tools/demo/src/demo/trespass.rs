//! Steps `stranger`, `thief` and `foreign-topic`: those who may not, do not, and it is written down.

use crate::demo::arrivals::failed;
use crate::demo::installation::{Installation, PATIENCE, now};
use crate::demo::ledger::Proof;
use crate::demo::policy::everybody_everywhere;
use crate::demo::thief;
use std::path::Path;
use std::time::Instant;
use touchmark_api::Decision;
use touchmark_dial::ClientTls;
use touchmark_identity::Timestamp;
use touchmark_mqtt::ProtocolVersion;
use touchmark_touchmark::credential::CredentialDir;
use touchmark_touchmark::failure::Failure;
use touchmark_touchmark::home;
use touchmark_touchmark::mqtt_session::{Session, Target};

pub(crate) async fn stranger(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let began = this_second();
    let address = home::address(installation.ready.mqtt.clone(), "gateway")?;
    let tls = if sabotaged {
        CredentialDir::new(installation.device("pump-01")?.folder.clone()).tls()?
    } else {
        ClientTls::from_pem_files(Path::new(&installation.ready.ca), None)?
    };
    let started = Instant::now();
    let answer = Session::open(&Target { tls, address }, "pump-01/stranger", ProtocolVersion::V5).await?;
    let took = started.elapsed();
    let Err(denial) = answer else { return Err(failed("the stranger was let in")) };
    if !denial.code.starts_with("tls alert") {
        return Err(failed(&format!("refused, but not in the handshake: {}", denial.code)));
    }
    let counted = installation
        .decision(None, began, "the stranger", |decision| {
            decision.proof.as_ref().is_some_and(|proof| *proof == "none") && decision.verdict == "deny"
        })
        .await?;
    Ok(Proof {
        took,
        says: format!("{}; counted as {} x{}", denial.code, counted.reason, counted.count),
        proof: counted.id.to_string(),
    })
}

pub(crate) async fn steal(installation: &mut Installation, sabotaged: bool) -> Result<Proof, Failure> {
    let began = this_second();
    let address = home::address(installation.ready.mqtt.clone(), "gateway")?;
    let victim = CredentialDir::new(installation.device("pump-01")?.folder.clone());
    let own = CredentialDir::new(installation.device("pump-02")?.folder.clone());
    let key = if sabotaged { victim.key() } else { own.key() };
    let started = Instant::now();
    let refused = thief::connect(address, victim.chain(), key, victim.anchors()).await?;
    let took = started.elapsed();
    let counted = installation
        .decision(None, began, "the thief", |decision| is_count(decision, "bad-possession"))
        .await?;
    Ok(Proof {
        took,
        says: format!("pump-01's certificate with pump-02's key: {refused}; counted as {}", counted.reason),
        proof: counted.id.to_string(),
    })
}

/// Whoever proves nothing is counted, per reason and second, and has no record of its own.
fn is_count(decision: &Decision, reason: &str) -> bool {
    decision.proof.as_ref().is_some_and(|proof| *proof == "none")
        && decision.verdict == "deny"
        && decision.reason == reason
}

fn this_second() -> Timestamp {
    Timestamp::from_unix_s(now().unix_s())
}

pub(crate) async fn foreign_topic(
    installation: &mut Installation,
    sabotaged: bool,
) -> Result<Proof, Failure> {
    let restore = if sabotaged { Some(everybody_everywhere(installation).await?) } else { None };
    let attempt = publish_as_another(installation).await;
    if let Some(restore) = restore {
        restore.put_back(installation).await?;
    }
    attempt
}

async fn publish_as_another(installation: &mut Installation) -> Result<Proof, Failure> {
    let began = now();
    let topic = "plant/pump-01/pressure";
    let value = format!("forged-{}", began.unix_ms());
    let started = Instant::now();
    let device = installation.device("pump-02")?;
    device.tell(&format!("publish {topic} {value}")).await?;
    let words = device.denied("publish", PATIENCE).await?;
    let took = started.elapsed();
    let decision = installation
        .decision(Some("pump-02"), began, "the denied publish", |decision| {
            decision.action == "publish"
                && decision.verdict == "deny"
                && decision.resource.as_deref() == Some(topic)
        })
        .await?;
    // The denial is in the log, so whatever was forwarded before it has arrived.
    if installation.last_value(topic).await?.contains(&value) {
        return Err(failed("it was denied, and arrived all the same"));
    }
    Ok(Proof { took, says: format!("{words}; the far end has not got it"), proof: decision.id.to_string() })
}
