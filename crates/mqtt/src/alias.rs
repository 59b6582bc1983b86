//! Topic aliases of one direction of one connection (MQTT 5.0 §3.3.2.3.4), bounded in number and octets.

use std::collections::BTreeMap;

use crate::{Fault, Publish, TopicName};

/// What the sender of this direction has named so far. With a maximum of 0, the default, every alias is at fault.
#[derive(Debug, Default)]
pub struct TopicAliases {
    maximum: u16,
    octets_max: usize,
    octets: usize,
    topics: BTreeMap<u16, Box<str>>,
}

impl TopicAliases {
    /// Takes aliases up to the Topic Alias Maximum that we told the peer, and keeps at most `octets_max` octets of
    /// topics for them.
    pub fn new(maximum: u16, octets_max: usize) -> Self {
        Self { maximum, octets_max, octets: 0, topics: BTreeMap::new() }
    }

    /// The topic that a PUBLISH is for: its own, or the one that its alias stands for. Learns the alias of a PUBLISH
    /// that has both [MQTT-3.3.2-8 to 10].
    pub fn resolve<'s>(&'s mut self, publish: &Publish<'s>) -> Result<TopicName<'s>, Fault> {
        let alias = publish.properties.topic_alias.map(|alias| alias.0.get());
        match (publish.topic, alias) {
            (Some(topic), None) => Ok(topic),
            (None, None) => Err(Fault::ProtocolError { what: "neither topic name nor topic alias" }),
            (_, Some(alias)) if alias > self.maximum => Err(Fault::TopicAliasInvalid { alias }),
            (Some(topic), Some(alias)) => {
                self.learn(alias, topic)?;
                Ok(topic)
            }
            (None, Some(alias)) => {
                let topic = self.topics.get(&alias).ok_or(Fault::TopicAliasInvalid { alias })?;
                TopicName::new(topic)
            }
        }
    }

    fn learn(&mut self, alias: u16, topic: TopicName<'_>) -> Result<(), Fault> {
        let before = self.topics.get(&alias).map_or(0, |topic| topic.len());
        let octets = self.octets - before + topic.as_str().len();
        if octets > self.octets_max {
            return Err(Fault::TooMany { what: "octets of aliased topics", max: self.octets_max });
        }
        self.octets = octets;
        self.topics.insert(alias, topic.as_str().into());
        Ok(())
    }
}
