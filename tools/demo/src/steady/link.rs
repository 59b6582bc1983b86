//! One MQTT session that sends and hears at the same time: a task for each direction, events for who uses it.
//!
//! In: a session that was greeted, octets to send. Out: [`Heard`]. What a session's messages are is not known here.

use crate::steady::flight::LinkId;
use bytes::{Bytes, BytesMut};
use core::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use touchmark_identity::Fingerprint;
use touchmark_mqtt::{
    Delivery, Disconnect, FrameReader, Packet, PacketId, ProtocolVersion, Publish, TopicName,
};
use touchmark_touchmark::failure::{Exit, Failure};
use touchmark_touchmark::mqtt_session::{Denial, PATIENCE, Parts, Stream, ended};

/// Packets that were not written yet: the window of messages in flight is what really bounds them.
const UNWRITTEN_MAX: usize = 1_024;
/// A server has this long to take a good-bye.
const GOODBYE_MAX: Duration = Duration::from_secs(1);

/// What came over one of the sessions.
pub(crate) enum Heard {
    /// PUBACK, with the refusal in it.
    Answered { link: LinkId, id: PacketId, refusal: Option<Denial> },
    /// The session is over.
    Ended { link: LinkId, denial: Denial },
}

/// A session in use. Dropped, it ends without a word; [`Link::goodbye`] says one.
pub(crate) struct Link {
    /// With whose key it was opened.
    pub(crate) certificate: Fingerprint,
    version: ProtocolVersion,
    out: mpsc::Sender<Bytes>,
    writer: JoinHandle<()>,
    _reader: Reader,
}

struct Reader(JoinHandle<()>);

impl Drop for Reader {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Link {
    #[expect(clippy::disallowed_methods, reason = "they belong to one session of a command")]
    pub(crate) fn start(
        id: LinkId,
        certificate: Fingerprint,
        parts: Parts,
        heard: mpsc::Sender<Heard>,
    ) -> Self {
        let Parts { stream, frames, version, receive_maximum: _ } = parts;
        let (reading, writing) = tokio::io::split(stream);
        let (out, unwritten) = mpsc::channel(UNWRITTEN_MAX);
        let writer = tokio::spawn(write(writing, unwritten, id, heard.clone()));
        let reader = Reader(tokio::spawn(read(reading, frames, version, id, heard)));
        Self { certificate, version, out, writer, _reader: reader }
    }

    /// Whether one more packet can be sent.
    pub(crate) fn has_room(&self) -> bool {
        self.out.capacity() > 1
    }

    /// Sends a message with QoS 1.
    pub(crate) fn publish(&self, topic: &str, payload: &str, id: PacketId) -> Result<(), Failure> {
        let delivery = Delivery::AtLeastOnce { packet_id: id, duplicate: false };
        let topic = TopicName::new(topic).map_err(|fault| not_sayable(&fault))?;
        self.send(&Publish::new(delivery, topic, payload.as_bytes()).into())
    }

    /// Shows that it lives, where nothing else is said.
    pub(crate) fn ping(&self) -> Result<(), Failure> {
        self.send(&Packet::Pingreq)
    }

    fn send(&self, packet: &Packet<'_>) -> Result<(), Failure> {
        let mut octets = BytesMut::new();
        packet.encode(self.version, &mut octets).map_err(|fault| not_sayable(&fault))?;
        // Full or closed: then its end is heard next.
        let _ = self.out.try_send(octets.freeze());
        Ok(())
    }

    /// Says good-bye after everything that was sent.
    #[expect(clippy::disallowed_methods, reason = "it belongs to one session of a command")]
    pub(crate) fn goodbye(self) -> JoinHandle<()> {
        // What has no good-bye ends without.
        let _ = self.send(&Disconnect::default().into());
        let Self { out, writer, _reader: reader, .. } = self;
        tokio::spawn(async move {
            drop(out);
            let _ = tokio::time::timeout(GOODBYE_MAX, writer).await;
            drop(reader);
        })
    }
}

async fn write(
    mut stream: WriteHalf<Box<dyn Stream>>,
    mut unwritten: mpsc::Receiver<Bytes>,
    link: LinkId,
    heard: mpsc::Sender<Heard>,
) {
    while let Some(octets) = unwritten.recv().await {
        let writing = async {
            stream.write_all(&octets).await?;
            stream.flush().await
        };
        let denial = match tokio::time::timeout(PATIENCE, writing).await {
            Ok(Ok(())) => continue,
            // The server's reason may still wait to be read: the other direction tells it.
            Ok(Err(_)) => return,
            Err(_) => Denial::new("no answer", "the server takes nothing any more"),
        };
        // Nobody listens any more: then nobody needs it.
        let _ = heard.send(Heard::Ended { link, denial }).await;
        return;
    }
    let _ = stream.shutdown().await;
}

async fn read(
    mut stream: ReadHalf<Box<dyn Stream>>,
    mut frames: FrameReader,
    version: ProtocolVersion,
    link: LinkId,
    heard: mpsc::Sender<Heard>,
) {
    let denial = loop {
        let frame = match frames.next_frame() {
            Ok(Some(frame)) => frame,
            Ok(None) => match stream.read_buf(frames.buffer_mut()).await {
                Ok(0) => break Denial::new("closed", ""),
                Ok(_) => continue,
                Err(error) => break ended(&error),
            },
            Err(fault) => break Denial::new("no MQTT", &fault.to_string()),
        };
        match frame.parse(version) {
            Ok(Packet::Puback(answer)) => {
                let words = answer.properties.reason_string;
                let refused = answer.reason.is_error();
                let refusal = refused.then(|| Denial::by("puback", answer.reason, words));
                let answered = Heard::Answered { link, id: answer.packet_id, refusal };
                if heard.send(answered).await.is_err() {
                    return;
                }
            }
            Ok(Packet::Disconnect(last)) => {
                break Denial::by("disconnect", last.reason, last.properties.reason_string);
            }
            Ok(_) => {}
            Err(fault) => break Denial::new("no MQTT", &fault.to_string()),
        }
    };
    let _ = heard.send(Heard::Ended { link, denial }).await;
}

fn not_sayable(fault: &dyn core::fmt::Display) -> Failure {
    Failure::new(Exit::Usage, "topic", "this cannot be said in MQTT").why(fault.to_string())
}
