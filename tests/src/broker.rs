//! The far end: a mosquitto broker behind the gateway, and a subscriber on it that sees everything that arrives.

use crate::lab::Lab;
use crate::patience::until;
use crate::program::{Program, program};
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex};

/// Topic of the broker's own that the watcher also sees, to know that it watches.
const MARK: &str = "watcher/mark";

/// A running broker and its watcher.
#[derive(Debug)]
pub struct Broker {
    child: Child,
    watcher: Child,
    port: u16,
    publisher: Program,
    seen: Arc<Mutex<Vec<(String, String)>>>,
}

impl Broker {
    /// Starts both, unless a program is missing.
    pub fn start(lab: &Lab) -> Option<Self> {
        let (broker, subscriber, publisher) =
            (program("mosquitto")?, program("mosquitto_sub")?, program("mosquitto_pub")?);
        // Free a moment ago; whoever takes it in between makes the start fail loudly.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let text = format!("listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\n");
        let file = lab.write(&format!("mosquitto-{port}.conf"), text);
        let mut command = broker.command();
        let child = command.arg("-c").arg(file).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        until("the broker to listen", || TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok());
        let mut command = subscriber.command();
        let port_text = port.to_string();
        command.args(["-h", "127.0.0.1", "-p", &port_text, "-i", "watcher", "-q", "1", "-t", "#"]);
        let mut watcher = command.args(["-F", "%t %p"]).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(watcher.stdout.take().unwrap()).lines();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sees = Arc::clone(&seen);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
                sees.lock().unwrap().push((topic.to_owned(), payload.to_owned()));
            }
        });
        let broker = Self { child, watcher, port, publisher, seen };
        until("the watcher to watch", || {
            broker.publish(MARK, "begin");
            broker.has_seen(MARK, "begin").then_some(())
        });
        Some(broker)
    }

    /// `host:port`, as the gateway is told.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Publishes on the broker itself, as a service behind the gateway does.
    pub fn publish(&self, topic: &str, payload: &str) {
        let port = self.port.to_string();
        self.publisher.good(["-h", "127.0.0.1", "-p", &port, "-q", "1", "-t", topic, "-m", payload]);
    }

    /// Everything that arrived on topics of devices, in order.
    pub fn seen(&self) -> Vec<(String, String)> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|(topic, _)| topic != MARK).cloned().collect()
    }

    /// Whether a message arrived.
    pub fn has_seen(&self, topic: &str, payload: &str) -> bool {
        self.seen.lock().unwrap().iter().any(|(t, p)| t == topic && p == payload)
    }

    /// Waits for a message.
    pub fn sees(&self, topic: &str, payload: &str) {
        until(&format!("`{payload}` on {topic} at the far end"), || {
            self.has_seen(topic, payload).then_some(())
        });
    }

    /// Everything that was sent before now has arrived or never will: the broker keeps the order.
    pub fn seen_until_now(&self) -> Vec<(String, String)> {
        let mark = format!("mark-{}", self.seen.lock().unwrap().len());
        self.publish(MARK, &mark);
        self.sees(MARK, &mark);
        self.seen()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        for child in [&mut self.watcher, &mut self.child] {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
