//! The way to the authority: one base URL, the current client credential, and calm retries.

use crate::config::GatewayConfig;
use crate::credential::{BadCredential, Credential, Written, read_file};
use crate::fault::GatewayFault;
use crate::trust::Trust;
use arc_swap::ArcSwap;
use core::time::Duration;
use std::path::PathBuf;
use std::sync::Arc;
use touchmark_dial::{
    BadClientTls, BaseUrl, ClientTls, DialFault, HttpClient, Request, Response, TlsVersions,
};
use touchmark_listen::{ServerIdentity, Stop};

/// First and longest pause after a failure. The longest bounds how late a healed link is noticed.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);
/// How often the credential's files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Why there is no client configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoClient {
    #[error(transparent)]
    Credential(#[from] BadCredential),
    #[error(transparent)]
    Tls(#[from] BadClientTls),
}

impl From<NoClient> for GatewayFault {
    fn from(fault: NoClient) -> Self {
        match fault {
            NoClient::Credential(fault) => fault.into(),
            NoClient::Tls(fault) => fault.into(),
        }
    }
}

/// What every task that dials shares; the credential in it may be replaced.
pub(crate) struct Uplink {
    base: BaseUrl,
    tls: ArcSwap<Clients>,
    trust: Arc<Trust>,
}

/// Two clients with one credential.
struct Clients {
    /// Takes the authority's own certificate only, and none that the feed knows to be revoked.
    authority: ClientTls,
    /// For a broker or service behind the gateway.
    upstream: ClientTls,
}

impl Clients {
    fn new(config: &GatewayConfig, credential: &Credential, trust: &Arc<Trust>) -> Result<Self, NoClient> {
        let anchors = read_file(&config.anchors)?;
        let upstream = ClientTls::from_pem(&anchors, Some(credential.client()), TlsVersions::default())?;
        let authority = upstream.to_authority(Some(Arc::clone(trust) as _))?;
        Ok(Self { authority, upstream })
    }
}

impl Uplink {
    pub(crate) fn new(
        config: &GatewayConfig,
        credential: &Credential,
        trust: &Arc<Trust>,
    ) -> Result<Self, GatewayFault> {
        let base: BaseUrl = config.authority_api.parse()?;
        if !base.is_https() {
            let why = "the authority is asked over https:// only".to_owned();
            return Err(GatewayFault::Config { key: "authority_api", why });
        }
        let clients = Clients::new(config, credential, trust)?;
        Ok(Self { base, tls: ArcSwap::from_pointee(clients), trust: Arc::clone(trust) })
    }

    /// The client configuration in force towards an encrypted upstream.
    pub(crate) fn upstream_tls(&self) -> ClientTls {
        self.tls.load().upstream.clone()
    }

    /// A client with a connection of its own.
    pub(crate) fn caller(self: &Arc<Self>) -> Caller {
        Caller { uplink: Arc::clone(self), live: None }
    }
}

/// One task's client. It dials anew when the credential was replaced.
pub(crate) struct Caller {
    uplink: Arc<Uplink>,
    live: Option<(Arc<Clients>, HttpClient)>,
}

impl Caller {
    /// Sends one request; a status of refusal is a fault here.
    pub(crate) async fn ask(&mut self, request: Request) -> Result<Response, DialFault> {
        let tls = self.uplink.tls.load_full();
        if self.live.as_ref().is_none_or(|(used, _)| !Arc::ptr_eq(used, &tls)) {
            let client = HttpClient::new(self.uplink.base.clone(), Some(tls.authority.clone()))?;
            self.live = Some((tls, client));
        }
        match &mut self.live {
            Some((_, client)) => client.send(request).await?.ok(),
            None => Err(DialFault::BadRequest { why: "there is no client" }),
        }
    }
}

/// Doubling pauses with jitter, so that gateways do not come back in one moment.
#[derive(Debug)]
pub(crate) struct Backoff(Duration);

impl Backoff {
    pub(crate) fn new() -> Self {
        Self(PAUSE_MIN)
    }

    pub(crate) fn reset(&mut self) {
        self.0 = PAUSE_MIN;
    }

    /// Waits; `false` when the gateway stops meanwhile.
    pub(crate) async fn pause(&mut self, stop: &mut Stop) -> bool {
        let mut seed = [0];
        // Without a seed all that is lost is the jitter.
        let _ = aws_lc_rs::rand::fill(&mut seed);
        let [seed] = seed;
        let pause = self.0.mul_f64(0.5 + f64::from(seed) / 512.0);
        self.0 = (self.0 * 2).min(PAUSE_MAX);
        tokio::select! {
            () = stop.stopped() => false,
            () = tokio::time::sleep(pause) => true,
        }
    }
}

/// Follows the credential's files until the gateway stops.
pub(crate) async fn follow_files(
    config: GatewayConfig,
    server: ServerIdentity,
    uplink: Arc<Uplink>,
    mut stop: Stop,
) {
    let anchors: PathBuf = config.anchors.clone();
    let mut seen = Written::of(&config.credential, &anchors);
    loop {
        tokio::select! {
            () = stop.stopped() => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
        let now = Written::of(&config.credential, &anchors);
        if now == seen {
            continue;
        }
        // A renewal replaces two files, one after the other: a pair that does not fit yet is read again.
        match replace(&config, &server, &uplink) {
            Ok(()) => {
                seen = now;
                tracing::info!(chain = %config.credential.chain.display(), "the gateway's new certificate is in use");
            }
            Err(error) => {
                tracing::warn!(%error, "the gateway's new certificate cannot be used; the old one stays")
            }
        }
    }
}

fn replace(config: &GatewayConfig, server: &ServerIdentity, uplink: &Uplink) -> Result<(), NoClient> {
    let credential = Credential::read(&config.credential)?;
    let clients = Clients::new(config, &credential, &uplink.trust)?;
    credential.show_on(server)?;
    uplink.tls.store(Arc::new(clients));
    Ok(())
}

#[cfg(test)]
mod tests;
