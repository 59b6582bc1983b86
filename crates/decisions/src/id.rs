//! The name of one decision: gateway, log epoch, sequence number. Never stored per record: a frame knows its first.

use core::fmt;
use core::str::FromStr;
use touchmark_identity::Name;

/// Text that is not a decision id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decision id of the form dec_GATEWAY.EPOCH.SEQUENCE")]
pub struct BadDecisionId;

/// One decision of one gateway, as in `dec_gateway-1.3.1042`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DecisionId {
    /// Who decided.
    pub gateway: Name,
    /// The gateway's log epoch: raised at each start.
    pub epoch: u32,
    /// Without gaps inside the epoch.
    pub sequence: u64,
}

impl DecisionId {
    /// The readable kind, with its underscore.
    pub const PREFIX: &'static str = "dec_";
}

impl fmt::Display for DecisionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}.{}.{}", Self::PREFIX, self.gateway, self.epoch, self.sequence)
    }
}

impl FromStr for DecisionId {
    type Err = BadDecisionId;
    fn from_str(text: &str) -> Result<Self, BadDecisionId> {
        // From the right: a gateway's name may hold dots, the numbers cannot.
        let mut parts = text.strip_prefix(Self::PREFIX).ok_or(BadDecisionId)?.rsplitn(3, '.');
        let (Some(sequence), Some(epoch), Some(gateway)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(BadDecisionId);
        };
        Ok(Self {
            gateway: gateway.parse().map_err(|_| BadDecisionId)?,
            epoch: number(epoch)?,
            sequence: number(sequence)?,
        })
    }
}

/// Plain decimal: no sign, no leading zero, so that one decision has one text.
fn number<T: FromStr>(text: &str) -> Result<T, BadDecisionId> {
    let plain = text.bytes().all(|c| c.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().map_err(|_| BadDecisionId) } else { Err(BadDecisionId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_id_has_one_text() {
        let rows = [
            ("plain", "dec_gateway.1.0", true),
            ("dots in the name", "dec_gw.plant.2.1042", true),
            ("numbers in the name", "dec_gw.7.2.1042", true),
            ("largest", "dec_g.4294967295.18446744073709551615", true),
            ("epoch too large", "dec_g.4294967296.0", false),
            ("leading zero", "dec_g.01.0", false),
            ("sign", "dec_g.+1.0", false),
            ("no epoch", "dec_g.1", false),
            ("no gateway", "dec_.1.1", false),
            ("no number", "dec_g.1.", false),
            ("another kind", "dev_g.1.1", false),
            ("capital", "dec_G.1.1", false),
        ];
        for (name, text, good) in rows {
            let read = text.parse::<DecisionId>();
            assert_eq!(read.is_ok(), good, "{name}");
            if let Ok(id) = read {
                assert_eq!(id.to_string(), text, "{name}: writes what it read");
            }
        }
    }
}
