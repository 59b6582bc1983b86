//! What may be sent, once: a packet or a request together with the decision that it may.
//!
//! A [`Permitted`] is made here only, by functions that ask a table about the very thing that they wrap: the topic of
//! the frame, the filters in it, the message held under its identifier, the names in the request, the client id and the
//! will of a CONNECT. Whoever sends takes it by value. Packets that no table is asked about are [`crate::mqtt::plain`].
//!
//! It is as large as what it wraps, and made without an allocation.

use crate::http::path::has_empty_level;
use crate::mqtt::releases::{Releases, Releasing};
use crate::mqtt::{Opening, encoded};
use bytes::Bytes;
use touchmark_mqtt::{
    Acknowledgement, Delivery, Fault, Frame, Packet, PacketId, PacketType, ProtocolVersion, Publish,
    ReasonCode, TopicName,
};
use touchmark_policy::{
    Action, Decision, DecisionTable, Denial, DenyReason, PolicyVersion, RuleId, Topic, TopicFilter,
};

/// Judged and permitted; neither `Clone` nor constructible elsewhere.
#[derive(Debug)]
#[must_use]
pub(crate) struct Permitted<T>(T);

/// Requests over one connection, each of which is permitted by itself.
#[derive(Debug)]
pub(crate) struct Requests;

/// A message of the broker for the client.
#[derive(Debug)]
pub(crate) struct ForClient(Frame);

/// A message that came by HTTP.
#[derive(Debug)]
pub(crate) struct HttpMessage<'a> {
    pub(crate) topic: &'a str,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) payload: Bytes,
}

/// An update file; both names passed the policy's grammar: no separator, no climb, not hidden.
#[derive(Debug)]
pub(crate) struct UpdateFile<'a> {
    pub(crate) model: &'a str,
    pub(crate) file: &'a str,
}

/// What permitted: for the record.
pub(crate) type PermitBasis = (RuleId, PolicyVersion);

/// A permitted topic, by the place in memory where it was read. It becomes a [`Permitted`] with the frame that lies
/// there and with no other: so the frame is parsed once, and moves on once nothing borrows from it.
#[derive(Debug)]
#[must_use]
pub(crate) struct PermittedTopic {
    action: Action,
    at: usize,
    octets: usize,
}

impl PermittedTopic {
    /// May a client publish this message, and hear the answers that it asks for? With the rule that opened.
    pub(crate) fn to_publish(
        topic: TopicName<'_>,
        message: &Publish<'_>,
        table: &DecisionTable,
    ) -> Result<(Self, RuleId), Denial> {
        let named = Topic::new(topic.as_str()).map_err(|_| Denial::because(DenyReason::TopicInvalid))?;
        let permit = table.publish(&named).permitted()?;
        if let Some(answers) = message.properties.response_topic {
            may_hear(table, answers.as_str())?;
        }
        let (rule, _) = permit.into_basis();
        Ok((Self::at(Action::Publish, topic.as_str()), rule))
    }

    /// May the client have a message on this topic?
    pub(crate) fn to_receive(topic: &Topic<'_>, table: &DecisionTable) -> Result<Self, Denial> {
        drop(table.receive(topic).permitted()?);
        Ok(Self::at(Action::Subscribe, topic.as_str()))
    }

    fn at(action: Action, topic: &str) -> Self {
        Self { action, at: topic.as_ptr() as usize, octets: topic.len() }
    }

    /// The PUBLISH of a client that has this topic.
    pub(crate) fn publish(self, frame: Frame) -> Option<Permitted<Frame>> {
        self.is_of(Action::Publish, &frame).then_some(Permitted(frame))
    }

    /// The PUBLISH of the broker that has this topic.
    pub(crate) fn receive(self, frame: Frame) -> Option<Permitted<ForClient>> {
        self.is_of(Action::Subscribe, &frame).then_some(Permitted(ForClient(frame)))
    }

    /// Whether it was read from this PUBLISH: its topic is the first thing in it (MQTT 5.0 §3.3.2.1).
    fn is_of(&self, action: Action, frame: &Frame) -> bool {
        let Some((length, rest)) = frame.body().split_first_chunk::<2>() else { return false };
        frame.packet_type() == PacketType::Publish
            && self.action == action
            && self.at == rest.as_ptr() as usize
            && self.octets == usize::from(u16::from_be_bytes(*length))
    }
}

/// Why a PUBREL does not go on.
pub(crate) enum NotReleased {
    /// The broker has released the message already.
    Done,
    /// The broker holds no message under this identifier.
    Nothing,
    /// The message on this topic may not be handed out.
    Denied(Box<str>, Denial),
}

impl Permitted<Frame> {
    /// May this PUBREL hand out the message that is held under its identifier?
    pub(crate) fn release(frame: Frame, held: &Releases, table: &DecisionTable) -> Result<Self, NotReleased> {
        let id = frame.body().first_chunk().map(|id| u16::from_be_bytes(*id)).and_then(PacketId::new);
        let Some(id) = id.filter(|_| frame.packet_type() == PacketType::Pubrel) else {
            return Err(NotReleased::Nothing);
        };
        match held.releasing(id) {
            Releasing::Done => Err(NotReleased::Done),
            Releasing::Nothing => Err(NotReleased::Nothing),
            Releasing::Unknown => {
                Err(NotReleased::Denied("".into(), Denial::because(DenyReason::ReleaseUnknown)))
            }
            Releasing::Topic(topic) => match may_publish(&topic, table) {
                Ok(_) => Ok(Self(frame)),
                Err(denial) => Err(NotReleased::Denied(topic, denial)),
            },
        }
    }

    /// May this SUBSCRIBE ask for all of its filters?
    pub(crate) fn subscribe(
        frame: Frame,
        version: ProtocolVersion,
        table: &DecisionTable,
    ) -> Result<Self, Denial> {
        let invalid = || Denial::because(DenyReason::FilterInvalid);
        let Ok(Packet::Subscribe(subscribe)) = frame.parse(version) else { return Err(invalid()) };
        for subscription in &subscribe.subscriptions {
            let filter = TopicFilter::new(subscription.filter.as_str()).map_err(|_| invalid())?;
            drop(table.subscribe(&filter).permitted()?);
        }
        Ok(Self(frame))
    }

    /// May this PUBLISH be said as a will?
    pub(crate) fn will(
        frame: Frame,
        version: ProtocolVersion,
        table: &DecisionTable,
    ) -> Result<(Self, RuleId), Denial> {
        let refused = || Denial::because(DenyReason::WillNotPermitted);
        let Ok(Packet::Publish(message)) = frame.parse(version) else { return Err(refused()) };
        let topic = message.topic.ok_or_else(refused)?;
        let answers = message.properties.response_topic.map(|topic| topic.as_str());
        let rule = may_leave(table, topic.as_str(), answers)?;
        Ok((Self(frame), rule))
    }

    /// The PUBREL that hands this QoS 2 message out; `None` for another packet.
    pub(crate) fn into_release(self, version: ProtocolVersion) -> Option<Self> {
        let Ok(Packet::Publish(message)) = self.0.parse(version) else { return None };
        let Delivery::ExactlyOnce { packet_id, .. } = message.delivery else { return None };
        let release = Packet::Pubrel(Acknowledgement::new(packet_id, ReasonCode::Success));
        Frame::from_octets(encoded(version, &release)).ok().map(Self)
    }
}

impl<'a> Permitted<Opening<'a>> {
    /// May the device connect, under this client id, and leave this will?
    pub(crate) fn opening(opening: Opening<'a>, table: &DecisionTable) -> Result<(Self, RuleId), Denial> {
        if !opening.greeting.acceptable {
            return Err(Denial::because(DenyReason::ClientIdMismatch));
        }
        let (rule, _) = table.connect().permitted()?.into_basis();
        if let Some(will) = &opening.connect.will {
            let answers = will.properties.response_topic.map(|topic| topic.as_str());
            may_leave(table, will.topic.as_str(), answers)?;
        }
        Ok((Self(opening), rule))
    }
}

impl Permitted<Requests> {
    /// May the device connect?
    pub(crate) fn requests(table: &DecisionTable) -> Result<(Self, RuleId), Denial> {
        let (rule, _) = table.connect().permitted()?.into_basis();
        Ok((Self(Requests), rule))
    }
}

impl<'a> Permitted<HttpMessage<'a>> {
    /// May this message be published?
    pub(crate) fn message(
        message: HttpMessage<'a>,
        table: &DecisionTable,
    ) -> Result<(Self, PermitBasis), Denial> {
        let basis = may_publish_by_http(message.topic, table)?;
        Ok((Self(message), basis))
    }

    /// The same message as a PUBLISH.
    pub(crate) fn packet(
        self,
        version: ProtocolVersion,
        delivery: Delivery,
    ) -> Result<Permitted<Frame>, Fault> {
        let Self(HttpMessage { topic, payload, .. }) = self;
        let message = Publish::new(delivery, TopicName::new(topic)?, &payload);
        Frame::from_octets(encoded(version, &message.into())).map(Permitted)
    }
}

impl<'a> Permitted<UpdateFile<'a>> {
    /// May this file be fetched?
    pub(crate) fn update(file: UpdateFile<'a>, table: &DecisionTable) -> Result<(Self, PermitBasis), Denial> {
        let permit = table.request_update(file.model, file.file).permitted()?;
        Ok((Self(file), permit.into_basis()))
    }
}

impl<T> Permitted<T> {
    /// To look at: it is sent with [`Self::sent`] only.
    pub(crate) fn asked(&self) -> &T {
        &self.0
    }

    /// What is sent now.
    pub(crate) fn sent(self) -> T {
        self.0
    }
}

impl ForClient {
    pub(crate) fn octets(&self) -> &Bytes {
        self.0.octets()
    }
}

fn may_publish(topic: &str, table: &DecisionTable) -> Result<PermitBasis, Denial> {
    let decision = match Topic::new(topic) {
        Ok(topic) => table.publish(&topic),
        Err(_) => Decision::Deny(Denial::because(DenyReason::TopicInvalid)),
    };
    Ok(decision.permitted()?.into_basis())
}

/// May a message be published on this topic of a path? Asked before its body is read as well.
pub(crate) fn may_publish_by_http(topic: &str, table: &DecisionTable) -> Result<PermitBasis, Denial> {
    match has_empty_level(topic) {
        true => Err(Denial::because(DenyReason::TopicInvalid)),
        false => may_publish(topic, table),
    }
}

/// May a device leave a will on this topic, that asks for answers on that one?
fn may_leave(table: &DecisionTable, topic: &str, answers: Option<&str>) -> Result<RuleId, Denial> {
    let topic = Topic::new(topic).map_err(|_| Denial::because(DenyReason::WillNotPermitted))?;
    let (rule, _) = table.will(&topic).permitted()?.into_basis();
    if let Some(answers) = answers {
        may_hear(table, answers)?;
    }
    Ok(rule)
}

/// May the device hear what is said on this response topic?
fn may_hear(table: &DecisionTable, answers: &str) -> Result<(), Denial> {
    let no_topic = |_| Denial::because(DenyReason::ResponseTopicNotPermitted);
    let answers = Topic::new(answers).map_err(no_topic)?;
    table.response(&answers).permitted().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::tests::client::{V5, id, message};
    use touchmark_mqtt::{Acknowledgement, QoS, ReasonCode, Subscribe, Subscription};
    use touchmark_policy::Subject;
    use touchmark_policy_cedar::{CompiledPolicy, PolicyBundle};

    const OWN: &str = "plant/pump-01/t";
    const COMMAND: &str = "cmd/pump-01/go";

    fn table() -> DecisionTable {
        let subject = Subject::from_scope("lab".parse().unwrap(), "pump-01".parse().unwrap(), &[]).unwrap();
        CompiledPolicy::compile(&PolicyBundle::starter()).unwrap().specialise(&subject)
    }

    fn frame(packet: Packet<'_>) -> Frame {
        Frame::from_octets(encoded(V5, &packet)).unwrap()
    }

    fn to_publish(frame: &Frame) -> Result<PermittedTopic, Denial> {
        let Packet::Publish(publish) = frame.parse(V5).unwrap() else { panic!("PUBLISH") };
        PermittedTopic::to_publish(publish.topic.unwrap(), &publish, &table()).map(|(topic, _)| topic)
    }

    #[test]
    fn it_weighs_what_it_wraps() {
        assert_eq!(size_of::<Permitted<Frame>>(), size_of::<Frame>());
        assert_eq!(size_of::<Permitted<ForClient>>(), size_of::<Frame>());
    }

    #[test]
    fn a_permitted_topic_goes_with_the_frame_that_it_was_read_from_and_in_its_direction() {
        let judged = frame(message(OWN, QoS::AtLeastOnce, 1, "1").into());
        // The same octets in another place, another topic, and no message at all.
        let others = [
            frame(message(OWN, QoS::AtLeastOnce, 1, "1").into()),
            frame(message("plant/pump-02/t", QoS::AtLeastOnce, 1, "1").into()),
            frame(Packet::Pingreq),
        ];
        for other in others {
            assert!(to_publish(&judged).unwrap().publish(other.clone()).is_none(), "{other:?}");
        }
        assert!(to_publish(&judged).unwrap().receive(judged.clone()).is_none(), "the other direction");
        assert!(to_publish(&judged).unwrap().publish(judged.clone()).is_some());
        let delivery = frame(message(COMMAND, QoS::AtMostOnce, 0, "1").into());
        let Packet::Publish(publish) = delivery.parse(V5).unwrap() else { panic!("PUBLISH") };
        let topic = Topic::new(publish.topic.unwrap().as_str()).unwrap();
        let receive = || PermittedTopic::to_receive(&topic, &table()).unwrap();
        assert!(receive().publish(delivery.clone()).is_none(), "the other direction");
        assert!(receive().receive(judged).is_none(), "another message");
        assert!(receive().receive(delivery.clone()).is_some());
    }

    #[test]
    fn what_is_not_permitted_is_not_wrapped() {
        let table = table();
        for topic in ["x", "plant/pump-02/t", "$SYS/x", COMMAND] {
            assert!(to_publish(&frame(message(topic, QoS::AtMostOnce, 0, "1").into())).is_err(), "{topic}");
            assert!(may_publish_by_http(topic, &table).is_err(), "{topic}");
            let will = frame(message(topic, QoS::AtMostOnce, 0, "1").into());
            assert!(Permitted::will(will, V5, &table).is_err(), "{topic}");
        }
        assert!(Permitted::will(frame(message(OWN, QoS::AtMostOnce, 0, "1").into()), V5, &table).is_ok());
        assert!(may_publish_by_http(OWN, &table).is_ok());
        assert!(may_publish_by_http("plant/pump-01//t", &table).is_err());
        let subscribe = |filters: &[&str]| {
            let asked = |filter| {
                Subscription::new(touchmark_mqtt::TopicFilter::new(filter).unwrap(), QoS::AtMostOnce)
            };
            let subscriptions = filters.iter().map(|filter| asked(filter)).collect();
            let packet = Subscribe { packet_id: id(1), properties: Default::default(), subscriptions };
            Permitted::subscribe(frame(packet.into()), V5, &table).is_ok()
        };
        assert!(subscribe(&["cmd/pump-01/#"]));
        assert!(!subscribe(&["cmd/pump-01/#", "cmd/pump-02/#"]), "one of two");
        assert!(Permitted::subscribe(frame(Packet::Pingreq), V5, &table).is_err());
        let update = |model, file| Permitted::update(UpdateFile { model, file }, &table).is_ok();
        assert!(!update("..", "seed") && !update("x200", "a/b"));
    }

    #[test]
    fn a_release_hands_out_the_message_under_its_own_identifier() {
        let (table, mut held) = (table(), Releases::default());
        held.hold(id(1), OWN).unwrap();
        held.hold(id(2), "x").unwrap();
        let release = |held: &Releases, number| {
            let release = frame(Packet::Pubrel(Acknowledgement::new(id(number), ReasonCode::Success)));
            match Permitted::release(release, held, &table) {
                Ok(_) => "released".to_owned(),
                Err(NotReleased::Done) => "done".to_owned(),
                Err(NotReleased::Nothing) => "nothing".to_owned(),
                Err(NotReleased::Denied(topic, denial)) => format!("{topic}: {}", denial.reason),
            }
        };
        let outcomes = [1, 2, 3].map(|number| release(&held, number));
        assert_eq!(outcomes, ["released", "x: no-rule", "nothing"]);
        held.complete(id(1));
        assert_eq!(release(&held, 1), "done");
        held.resume();
        assert_eq!(release(&held, 3), ": release-unknown");
        let other = frame(Packet::Pubcomp(Acknowledgement::new(id(2), ReasonCode::Success)));
        assert!(matches!(Permitted::release(other, &held, &table), Err(NotReleased::Nothing)));
    }
}
