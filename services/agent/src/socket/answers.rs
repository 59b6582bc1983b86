//! What is answered to whom. Everybody who may open the socket may read what is public; keys are for the named.

use super::board::{Board, Post};
use super::foreign::Foreign;
use super::protocol::{
    Ask, CertificateAnswer, CertificateStatus, EnvironmentStatus, EnvironmentWhy, FailureStatus,
    MESSAGE_OCTETS_MAX, Refused, RenewAnswer, SignatureAnswer, StatusAnswer, WhyAnswer, line,
};
use super::words;
use crate::lifecycle::{Needs, Report, Wish};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::sync::mpsc::TrySendError;
use touchmark_x509::{Certificate, SignatureAlgorithm, Signer as _};

/// One line for one question.
pub(super) fn answer(ask: Ask, uid: u32, board: &Board) -> Vec<u8> {
    match ask {
        Ask::Certificate { environment } => line(board.post(environment.as_deref()).and_then(certificate)),
        Ask::Sign { environment, algorithm, message } => line(
            board.post_for(environment.as_deref(), uid).and_then(|post| sign(post, &algorithm, &message)),
        ),
        Ask::Status {} => line(statuses(board)),
        Ask::Why { environment } => line(why(board, environment.as_deref())),
        Ask::Renew { environment } => line(board.post_for(environment.as_deref(), uid).and_then(renew)),
    }
}

fn certificate(post: &Post) -> Result<CertificateAnswer, Refused> {
    let published = post.published();
    let pair = published.pair.as_ref().ok_or_else(|| no_certificate(post))?;
    Ok(CertificateAnswer {
        environment: post.environment.to_string(),
        identity: post.identity.to_string(),
        chain: pair.chain.to_pem(),
        anchors: published.anchors.iter().map(Certificate::to_pem).collect(),
        not_after: pair.chain.leaf().validity().not_after().to_string(),
        algorithm: algorithm_name(pair.key.algorithm()),
    })
}

fn sign(post: &Post, algorithm: &str, message: &str) -> Result<SignatureAnswer, Refused> {
    let bad = |error: String| Refused::new("bad-request", error, "see docs/agent.md for the questions");
    let message = STANDARD.decode(message).map_err(|_| bad("the message is not base64".to_owned()))?;
    if message.len() > MESSAGE_OCTETS_MAX {
        return Err(bad(format!("a message has at most {MESSAGE_OCTETS_MAX} octets")));
    }
    if let Some(foreign) = Foreign::of(&message).filter(|foreign| !post.signs.contains(foreign)) {
        return Err(Refused::new(
            "not-a-message",
            format!("these octets would prove this device's identity elsewhere ({})", foreign.word()),
            format!(
                "sign messages of the application's own; or let {} have it: signs = [\"{}\"] in its table of the configuration",
                post.environment,
                foreign.word()
            ),
        ));
    }
    // The lock is not held while signing.
    let pair = post.published().pair.clone();
    let pair = pair.ok_or_else(|| no_certificate(post))?;
    let name = algorithm_name(pair.key.algorithm());
    if algorithm != name {
        return Err(bad(format!("this identity's key makes {name} signatures only")));
    }
    let signature = pair.key.sign(&message).map_err(|fault| {
        Refused::new("sign-failed", fault.to_string(), "try again; the agent's log may say more")
    })?;
    Ok(SignatureAnswer {
        signature: STANDARD.encode(signature),
        certificate: pair.chain.leaf().fingerprint().to_string(),
    })
}

fn no_certificate(post: &Post) -> Refused {
    Refused::new(
        "no-certificate",
        format!("{} in {} has no certificate yet", post.identity, post.environment),
        format!("touchmark-agent why {}", post.environment),
    )
}

fn algorithm_name(algorithm: SignatureAlgorithm) -> &'static str {
    match algorithm {
        SignatureAlgorithm::EcdsaSha256 => "ecdsa-sha256",
        SignatureAlgorithm::EcdsaSha384 => "ecdsa-sha384",
        SignatureAlgorithm::EcdsaSha512 => "ecdsa-sha512",
        SignatureAlgorithm::Ed25519 => "ed25519",
        SignatureAlgorithm::RsaPkcs1Sha256
        | SignatureAlgorithm::RsaPkcs1Sha384
        | SignatureAlgorithm::RsaPkcs1Sha512 => "rsa",
        SignatureAlgorithm::RsaPssSha256
        | SignatureAlgorithm::RsaPssSha384
        | SignatureAlgorithm::RsaPssSha512 => "rsa-pss",
    }
}

fn renew(post: &Post) -> Result<RenewAnswer, Refused> {
    match post.wishes.try_send(Wish::RenewNow) {
        // A wish that still waits is as good as two.
        Ok(()) | Err(TrySendError::Full(_)) => Ok(RenewAnswer { environment: post.environment.to_string() }),
        Err(TrySendError::Disconnected(_)) => Err(starting()),
    }
}

fn starting() -> Refused {
    Refused::new("starting", "the agent is starting", "try again in a moment")
}

fn statuses(board: &Board) -> Result<StatusAnswer, Refused> {
    let environments = board.posts().iter().map(status).collect::<Result<_, _>>()?;
    Ok(StatusAnswer { environments })
}

fn status(post: &Post) -> Result<EnvironmentStatus, Refused> {
    let published = post.published();
    let blank = EnvironmentStatus {
        environment: post.environment.to_string(),
        identity: post.identity.to_string(),
        hook: published.hook.clone(),
        ..EnvironmentStatus::default()
    };
    if let Some(broken) = &published.broken {
        let summary = words::broken(&post.identity, &post.environment, broken);
        return Ok(EnvironmentStatus { needs: words::needs(Needs::DeviceKeeper), summary, ..blank });
    }
    let report = published.report.as_ref().ok_or_else(starting)?;
    Ok(EnvironmentStatus {
        fresh: is_fresh(report),
        certificate: report.certificate.as_ref().map(|certificate| CertificateStatus {
            fingerprint: certificate.fingerprint.to_string(),
            uri: certificate.identity.as_ref().map(ToString::to_string),
            not_before: certificate.validity.not_before().to_string(),
            not_after: certificate.validity.not_after().to_string(),
        }),
        progress: words::progress(report.progress),
        renews_at: report.renews_at.map(|moment| moment.to_string()),
        next_at: Some(report.next_at.to_string()),
        renewed_at: report.renewed.map(|renewed| renewed.at.to_string()),
        renewed_by: report.renewed.map(|renewed| words::renewed_by(renewed.by)),
        failures: report.failures,
        failure: report.failure.as_ref().map(|failure| FailureStatus {
            at: failure.at.to_string(),
            code: failure.code.clone(),
            says: failure.says.clone(),
        }),
        standing: words::standing(&report.standing),
        needs: words::needs(report.needs),
        now: Some(report.now.to_string()),
        clock: Some(report.clock.to_string()),
        summary: words::summary(report),
        ..blank
    })
}

fn is_fresh(report: &Report) -> bool {
    let alive =
        report.certificate.as_ref().is_some_and(|certificate| certificate.validity.contains(report.now));
    alive && report.needs == Needs::Nobody
}

fn why(board: &Board, environment: Option<&str>) -> Result<WhyAnswer, Refused> {
    let posts = match environment {
        Some(name) => core::slice::from_ref(board.post(Some(name))?),
        None => board.posts(),
    };
    let environments = posts.iter().map(|post| {
        let published = post.published();
        let mut lines = match (&published.broken, &published.report) {
            (Some(broken), _) => vec![
                words::broken(&post.identity, &post.environment, broken),
                words::advice(Needs::DeviceKeeper, &post.identity, &post.environment),
            ],
            (None, Some(report)) => words::why(report),
            (None, None) => return Err(starting()),
        };
        if let Some(hook) = &published.hook {
            lines.push(format!("The last hook did not do its work: {hook}."));
        }
        Ok(EnvironmentWhy { environment: post.environment.to_string(), lines })
    });
    Ok(WhyAnswer { environments: environments.collect::<Result<_, _>>()? })
}
