//! The gateway as this program runs it: files first (credential, anchors, feed key), then a running service.
//!
//! What is missing is fetched once, like any client would: a token, made by the operator of this data
//! directory or given in a file, and EST. Afterwards the authority may be away.

use crate::client::{Attempt, Client, Renewer, SERVICE_LOOK};
use crate::credential::CredentialDir;
use crate::failure::{Exit, Failure};
use crate::home::{self, Home};
use crate::management::{Management, anchors_pem};
use crate::services::authority::with_causes;
use crate::token::TokenSecret;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use tokio::sync::mpsc;
use touchmark_api::{Pids, Ready, TokenKind, TokenOrder};
use touchmark_durable::{Mode, write_changed};
use touchmark_gateway::{Ack, CredentialFiles, Gateway, GatewayConfig, PreferredPorts};
use touchmark_identity::{EnvironmentName, Name};
use touchmark_listen::Clock;
use touchmark_status::StalenessClass;
use touchmark_supervise::{Stop, Supervisor};

/// The token is used at once.
const TOKEN_TTL_S: u64 = 300;

/// What `gateway up` was told.
#[derive(Debug)]
pub(crate) struct GatewayOptions {
    pub(crate) name: Name,
    pub(crate) environment: EnvironmentName,
    /// Base URL of the authority's management API.
    pub(crate) authority: String,
    /// Base URL of EST, if it is not the one of this data directory.
    pub(crate) est: Option<String>,
    pub(crate) anchors: Option<PathBuf>,
    pub(crate) feed_key: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) listen: IpAddr,
    /// Names and addresses in its certificate, beside those of loopback.
    pub(crate) hosts: Vec<String>,
    pub(crate) ports: PreferredPorts,
    pub(crate) upstream_mqtt: Option<String>,
    pub(crate) upstream_http: Option<String>,
    pub(crate) staleness: StalenessClass,
    pub(crate) ack: Ack,
    pub(crate) publish_rate: u32,
}

/// Enrols if need be, then starts.
pub(crate) async fn start(home: &Home, options: GatewayOptions) -> Result<(Gateway, Ready), Failure> {
    let directory = CredentialDir::new(home.gateway(&options.name));
    let feed_key = directory.path().join("feed.key");
    if !directory.is_there(&options.name)? {
        enrol(home, &options, &directory).await?;
    }
    let est = where_est_is(home, &options, &directory)?;
    if !feed_key.exists() {
        let text = feed_key_text(home, &options).await?;
        write_changed(&feed_key, text.trim().as_bytes(), Mode::Public0644)?;
    }
    let mut config = GatewayConfig::new(
        options.name.clone(),
        options.environment.clone(),
        directory.path().join("state"),
        options.authority.clone(),
        directory.anchors(),
        CredentialFiles { chain: directory.chain(), key: directory.key() },
        feed_key,
    );
    config.listen = options.listen;
    config.ports = options.ports;
    config.upstream_mqtt = options.upstream_mqtt;
    config.upstream_http = options.upstream_http;
    config.staleness = options.staleness;
    config.ack = options.ack;
    config.publish_rate = options.publish_rate;
    let gateway = touchmark_gateway::start(config, Clock::system()).await.map_err(|fault| {
        Failure::new(Exit::Internal, "start", "the gateway does not start")
            .what(format!("gateway {} of {}", options.name, options.environment))
            .why(with_causes(&fault))
            .fix(format!("look into {}", directory.path().display()))
    })?;
    match est {
        Some(est) => {
            let (environment, name) = (options.environment, options.name);
            keep_fresh(Client { est, environment, name }, directory.clone(), gateway.tasks());
        }
        None => {
            tracing::warn!("the gateway's own certificate is not renewed: tell where EST is (--est URL)")
        }
    }
    let where_it_is = gateway.ready();
    let ready = Ready {
        mqtt: Some(where_it_is.mqtt.clone()),
        http: Some(where_it_is.http.clone()),
        sink: where_it_is.sink.clone(),
        ca: directory.anchors().display().to_string(),
        data: home.path().display().to_string(),
        pids: Pids { authority: None, gateway: Some(std::process::id()) },
        ..Ready::default()
    };
    // It serves all the same, and says so on stdout: on a full disk a gateway that does not start denies everybody even
    // what needs no disk.
    if let Err(failure) = home::write_ready(&directory.path().join("ready.json"), &ready) {
        tracing::error!(%failure, "where the gateway listens is in no file");
    }
    Ok((gateway, ready))
}

/// Where the gateway's own certificate is renewed; remembered, since only the first start must be told.
fn where_est_is(
    home: &Home,
    options: &GatewayOptions,
    directory: &CredentialDir,
) -> Result<Option<String>, Failure> {
    let file = directory.path().join("est.url");
    let told = options.est.clone().or_else(|| home.ready().ok().and_then(|ready| ready.est));
    match told {
        Some(url) => {
            write_changed(&file, url.as_bytes(), Mode::Public0644)?;
            Ok(Some(url))
        }
        None if file.exists() => home::read(&file).map(Some),
        None => Ok(None),
    }
}

/// Renews the gateway's certificate while it runs; it takes up the new files by itself.
fn keep_fresh(client: Client, directory: CredentialDir, tasks: &Supervisor) {
    let stop = tasks.listener();
    tasks.restarted("credential-renewal", stop.clone(), move |_| {
        renew_and_tell(client.clone(), directory.clone(), stop.clone())
    });
}

/// Returns when the renewer has ended, or shall: cut off, the next one goes on where it was.
async fn renew_and_tell(client: Client, directory: CredentialDir, mut stop: Stop) {
    let (told, mut attempts) = mpsc::channel(4);
    let _renewer = Renewer::start(client, directory, SERVICE_LOOK, told);
    loop {
        let attempt = tokio::select! {
            () = stop.stopped() => return,
            attempt = attempts.recv() => attempt,
        };
        match attempt {
            Some(Attempt::Renewed(new)) => {
                let until = new.validity().not_after();
                tracing::info!(%until, "the gateway's certificate was renewed");
            }
            Some(Attempt::Failed(failure)) => {
                tracing::warn!(%failure, "the gateway's certificate could not be renewed; it is tried again");
            }
            None => return,
        }
    }
}

async fn enrol(home: &Home, options: &GatewayOptions, directory: &CredentialDir) -> Result<(), Failure> {
    // Said once and whole, before anything is asked for: what this machine lacks.
    if options.token_file.is_none() {
        operator(home, options)?;
    }
    let anchors_pem = match &options.anchors {
        Some(file) => home::read(file)?,
        None => anchors_pem(home, &options.environment).await.map_err(|failure| {
            failure.fix("--anchors FILE: the environment's trust anchors, from the authority")
        })?,
    };
    let est = match &options.est {
        Some(est) => est.clone(),
        None => home.ready().ok().and_then(|ready| ready.est).ok_or_else(|| {
            Failure::usage("where is EST?").what(format!("gateway {}", options.name)).fix("--est URL")
        })?,
    };
    let token = match &options.token_file {
        Some(file) => TokenSecret::read(file)?,
        None => {
            let mut hosts = ["localhost", "127.0.0.1", "::1"].map(str::to_owned).to_vec();
            if !options.listen.is_unspecified() {
                hosts.push(options.listen.to_string());
            }
            hosts.extend(options.hosts.iter().cloned());
            hosts.sort();
            hosts.dedup();
            let order = TokenOrder {
                device: Some(options.name.clone()),
                kind: Some(TokenKind::Gateway),
                hosts,
                ..TokenOrder::new(options.environment.clone(), TOKEN_TTL_S)
            };
            TokenSecret::of(operator(home, options)?.token(&order).await?)
        }
    };
    let client = Client { est, environment: options.environment.clone(), name: options.name.clone() };
    client.enrol(token, &anchors_pem, directory).await.map(drop)
}

async fn feed_key_text(home: &Home, options: &GatewayOptions) -> Result<String, Failure> {
    if let Some(file) = &options.feed_key {
        return home::read(file);
    }
    Ok(operator(home, options)?.environment(&options.environment).await?.feed_key)
}

/// The operator of this data directory, if it is one of an authority.
fn operator(home: &Home, options: &GatewayOptions) -> Result<Management, Failure> {
    let (chain, key) = home.operator();
    if !key.exists() {
        return Err(Failure::usage(
            "this machine has no operator certificate to get a token and the feed key with",
        )
        .what(format!("gateway {}", options.name))
        .fix(
            "--token-file FILE --feed-key FILE --anchors FILE --est URL   (made on the authority's machine)",
        ));
    }
    // The authority's own certificate is of its default environment.
    let anchors = home.ready()?.ca;
    Management::with_files(&options.authority, Path::new(&anchors), &chain, &key)
}
