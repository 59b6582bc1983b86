//! EST's good answers, in the encoding that most clients can read (RFC 7030 §4.1.3, §4.2.3, §4.5.2; RFC 8951 §2).
//!
//! One line of base64 with a line feed at its end, and always `Content-Transfer-Encoding: base64`: of the four
//! clients that were tried only libest needs another form, and it says its name.

use super::base64_text::{self, Lines};
use super::csr_attributes::{CsrAttribute, encode_csr_attributes};
use touchmark_x509::pkcs7::certs_only;

/// An answer with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EstBody {
    /// Value of Content-Type.
    pub content_type: &'static str,
    /// All further headers.
    pub headers: &'static [(&'static str, &'static str)],
    pub bytes: Vec<u8>,
}

impl EstBody {
    fn base64(content_type: &'static str, der: &[u8], user_agent: Option<&str>) -> Self {
        Self {
            content_type,
            headers: &[("Content-Transfer-Encoding", "base64")],
            bytes: base64_text::write(der, Lines::for_user_agent(user_agent)),
        }
    }
}

/// Answers `simpleenroll` and `simplereenroll`: the new certificate first, then its chain.
pub fn write_certs_only(certificates: &[&[u8]], user_agent: Option<&str>) -> EstBody {
    EstBody::base64("application/pkcs7-mime; smime-type=certs-only", &certs_only(certificates), user_agent)
}

/// Answers `cacerts`: every certificate a client may need, the current root among them.
pub fn write_ca_certs(certificates: &[&[u8]], user_agent: Option<&str>) -> EstBody {
    EstBody::base64("application/pkcs7-mime", &certs_only(certificates), user_agent)
}

/// Answers `csrattrs`.
pub fn write_csr_attributes(attributes: &[CsrAttribute<'_>], user_agent: Option<&str>) -> EstBody {
    EstBody::base64("application/csrattrs", &encode_csr_attributes(attributes), user_agent)
}
