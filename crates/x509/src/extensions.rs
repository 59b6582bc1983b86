//! The extensions of a certificate or of a request (RFC 5280 §4.2), decoded once for both.
//!
//! In: the untrusted SEQUENCE OF Extension. Out: [`Extensions`], or which one is bad. Nothing is judged here:
//! an extension without meaning for us is remembered with its critical flag, and its reader decides.

use crate::certificate::ExtendedKeyUsage;
use crate::der::{BOOLEAN, INTEGER, OCTET_STRING, OID, SEQUENCE, UTF8_STRING};
use crate::oid_names::named;
use crate::strict::{BadShape, Element, Field};
use core::net::IpAddr;
use x509_parser::extensions::{DistributionPointName, GeneralName, ParsedExtension, X509Extension};
use x509_parser::prelude::FromDer;

/// Most extensions in one list: real certificates have about 10, and each is compared with the others.
const EXTENSIONS_MAX: usize = 64;
/// Most names, usages, addresses or scopes in one extension: they are kept as text.
const VALUES_MAX: usize = 256;

/// Private extension that carries scope strings (SEQUENCE OF UTF8String): arc 1.1 below the project's UUID
/// 07e944d1-3bec-48b5-9127-bad06ebb9940 (ITU-T X.667 §6).
pub(crate) const SCOPE: &str = "2.25.10515796919617305175205030090285750592.1.1";
/// Certificates issued before the project had an arc of its own carry the same content here. Read, never written.
pub(crate) const SCOPE_OF_FIRST_RELEASE: &str = "1.3.6.1.4.1.62253.1.1";
pub(crate) const BASIC_CONSTRAINTS: &str = "2.5.29.19";
pub(crate) const KEY_USAGE: &str = "2.5.29.15";
pub(crate) const EXTENDED_KEY_USAGE: &str = "2.5.29.37";
pub(crate) const ANY_EXTENDED_KEY_USAGE: &str = "2.5.29.37.0";
pub(crate) const SUBJECT_ALT_NAME: &str = "2.5.29.17";
pub(crate) const SUBJECT_KEY_ID: &str = "2.5.29.14";
pub(crate) const AUTHORITY_KEY_ID: &str = "2.5.29.35";
pub(crate) const CRL_DISTRIBUTION_POINTS: &str = "2.5.29.31";
/// Type of an otherName: the maker's name for a piece of hardware.
pub(crate) const HARDWARE_MODULE_NAME: &str = "1.3.6.1.5.5.7.8.4";

/// Which extension cannot be accepted, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadExtension {
    /// The list is not a list of extensions.
    #[error("the list of extensions is malformed")]
    List,
    /// More than 64.
    #[error("more than 64 extensions")]
    TooMany,
    /// RFC 5280 §4.2 forbids it, and readers disagree about which one counts.
    #[error("the extension {} stands twice", named(oid))]
    Duplicate {
        /// Dotted object identifier.
        oid: String,
    },
    /// The content is not what the identifier promises.
    #[error("the extension {} cannot be read", named(oid))]
    Malformed {
        /// Dotted object identifier.
        oid: String,
    },
}

/// What stands in a subjectAltName.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AlternativeNames {
    pub(crate) uris: Vec<String>,
    pub(crate) dns: Vec<String>,
    pub(crate) ips: Vec<IpAddr>,
    /// hwSerialNum of every hardwareModuleName.
    pub(crate) hardware_serials: Vec<Vec<u8>>,
    /// The sort of another name that stands there too: mail, directory, any otherName.
    pub(crate) other: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BasicConstraints {
    pub(crate) ca: bool,
    pub(crate) path_len: Option<u32>,
}

/// Identifier and critical flag of an extension as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Present {
    pub(crate) oid: String,
    pub(crate) critical: bool,
    /// Whether this crate gives it a meaning.
    pub(crate) understood: bool,
    /// Its value, where it was asked to be kept; else empty.
    pub(crate) value: Vec<u8>,
}

/// All extensions of one certificate or request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extensions {
    pub(crate) present: Vec<Present>,
    pub(crate) basic_constraints: Option<BasicConstraints>,
    /// Bit n of RFC 5280 §4.2.1.3 is bit n here.
    pub(crate) key_usage: Option<u16>,
    pub(crate) extended_key_usages: Option<Vec<ExtendedKeyUsage>>,
    pub(crate) names: AlternativeNames,
    pub(crate) subject_key_id: Option<Vec<u8>>,
    pub(crate) authority_key_id: Option<Vec<u8>>,
    pub(crate) crl_urls: Vec<String>,
    pub(crate) name_constraints: bool,
    pub(crate) scope: Vec<String>,
}

impl Extensions {
    /// Reads a SEQUENCE OF Extension whose shape was walked.
    pub(crate) fn read(list: Element<'_>) -> Result<Self, BadExtension> {
        Self::read_list(list, false)
    }

    /// As [`Extensions::read`], with the octets of every value.
    pub(crate) fn read_keeping_values(list: Element<'_>) -> Result<Self, BadExtension> {
        Self::read_list(list, true)
    }

    fn read_list(list: Element<'_>, keep: bool) -> Result<Self, BadExtension> {
        if list.tag != SEQUENCE || list.content.is_empty() {
            return Err(BadExtension::List);
        }
        let mut extensions = Self::default();
        for child in list.children() {
            extensions.read_one(child.map_err(|BadShape| BadExtension::List)?, keep)?;
        }
        Ok(extensions)
    }

    /// Whether this extension stands there, and is critical.
    pub(crate) fn critical(&self, oid: &str) -> Option<bool> {
        self.present.iter().find(|present| present.oid == oid).map(|present| present.critical)
    }

    fn read_one(&mut self, extension: Element<'_>, keep: bool) -> Result<(), BadExtension> {
        let [Some(id), critical, Some(value)] = extension
            .fields([Field::One(OID), Field::Optional(BOOLEAN), Field::One(OCTET_STRING)])
            .map_err(|BadShape| BadExtension::List)?
        else {
            return Err(BadExtension::List);
        };
        let oid = id.oid_text().map_err(|BadShape| BadExtension::List)?;
        if self.present.iter().any(|present| present.oid == oid) {
            return Err(BadExtension::Duplicate { oid });
        }
        if self.present.len() == EXTENSIONS_MAX {
            return Err(BadExtension::TooMany);
        }
        let Ok(critical) = flag(critical) else { return Err(BadExtension::Malformed { oid }) };
        let Ok(understood) = self.understand(&oid, critical, extension.raw, value.content) else {
            return Err(BadExtension::Malformed { oid });
        };
        let value = if keep { value.content.to_vec() } else { Vec::new() };
        self.present.push(Present { oid, critical, understood, value });
        Ok(())
    }

    /// Takes the meaning out of one extension; false when it has none for us.
    fn understand(&mut self, oid: &str, critical: bool, raw: &[u8], value: &[u8]) -> Result<bool, BadShape> {
        if oid == SCOPE || oid == SCOPE_OF_FIRST_RELEASE {
            // One extension of each name would make two scopes, and readers that differ in which one counts.
            if self
                .present
                .iter()
                .any(|present| present.oid == SCOPE || present.oid == SCOPE_OF_FIRST_RELEASE)
            {
                return Err(BadShape);
            }
            self.scope = read_scope(value)?;
            return Ok(true);
        }
        let (_, extension) = X509Extension::from_der(raw).map_err(|_| BadShape)?;
        match extension.parsed_extension() {
            ParsedExtension::ParseError { .. } => return Err(BadShape),
            ParsedExtension::BasicConstraints(constraints) => {
                let [ca, _] =
                    Element::whole(value)?.fields([Field::Optional(BOOLEAN), Field::Optional(INTEGER)])?;
                let read = BasicConstraints { ca: flag(ca)?, path_len: constraints.path_len_constraint };
                // RFC 5280 §4.2.1.9: a path length is meaningless, and forbidden, outside a CA.
                if !read.ca && read.path_len.is_some() {
                    return Err(BadShape);
                }
                self.basic_constraints = Some(read);
            }
            ParsedExtension::KeyUsage(usage) => {
                // One octet of unused bits and nine usages: at most three octets of content.
                if Element::whole(value)?.content.len() > 3 {
                    return Err(BadShape);
                }
                self.key_usage = Some(usage.flags);
            }
            ParsedExtension::ExtendedKeyUsage(_) => {
                self.extended_key_usages = Some(read_usages(Element::whole(value)?)?);
            }
            ParsedExtension::SubjectAlternativeName(names) => {
                let mut hardware_serials = Vec::new();
                for name in Element::whole(value)?.children() {
                    let name = name?;
                    // The parser looks at tag numbers alone; a constructed text or address is not DER.
                    if matches!(name.tag & 0x1f, 1 | 2 | 6 | 7 | 8) && name.tag & 0x20 != 0 {
                        return Err(BadShape);
                    }
                    if let Some(serial) = hardware_serial(name)? {
                        push(&mut hardware_serials, serial.to_vec())?;
                    }
                }
                self.names = AlternativeNames { hardware_serials, ..read_names(&names.general_names)? };
            }
            ParsedExtension::SubjectKeyIdentifier(id) => {
                Element::whole(value)?;
                self.subject_key_id = Some(id.0.to_vec());
            }
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                Element::whole(value)?.fields([
                    Field::Optional(0x80),
                    Field::Optional(0xa1),
                    Field::Optional(0x82),
                ])?;
                self.authority_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            ParsedExtension::CRLDistributionPoints(points) => {
                Element::whole(value)?;
                let names = points.iter().filter_map(|point| match &point.distribution_point {
                    Some(DistributionPointName::FullName(names)) => Some(names),
                    _ => None,
                });
                for name in names.flatten() {
                    if let GeneralName::URI(uri) = name {
                        push(&mut self.crl_urls, printable(uri)?)?;
                    }
                }
                // Nothing in this crate fetches a CRL, so a critical demand to do so is not met.
                return Ok(!critical);
            }
            ParsedExtension::NameConstraints(_) => {
                Element::whole(value)?;
                self.name_constraints = true;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// A BOOLEAN that is false by default; true has one form in DER.
fn flag(element: Option<Element<'_>>) -> Result<bool, BadShape> {
    match element.map(|element| element.content) {
        None | Some([0]) => Ok(false),
        Some([0xff]) => Ok(true),
        Some(_) => Err(BadShape),
    }
}

fn push<T>(values: &mut Vec<T>, value: T) -> Result<(), BadShape> {
    if values.len() == VALUES_MAX {
        return Err(BadShape);
    }
    values.push(value);
    Ok(())
}

/// Visible ASCII only: NUL, spaces and look-alikes in names have fooled comparisons before.
fn printable(text: &str) -> Result<String, BadShape> {
    let good = !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_graphic());
    if good { Ok(text.to_owned()) } else { Err(BadShape) }
}

fn read_names(names: &[GeneralName<'_>]) -> Result<AlternativeNames, BadShape> {
    let mut read = AlternativeNames::default();
    if names.is_empty() || names.len() > VALUES_MAX {
        return Err(BadShape);
    }
    for name in names {
        match name {
            GeneralName::URI(uri) => read.uris.push(printable(uri)?),
            GeneralName::DNSName(dns) => read.dns.push(printable(dns)?),
            GeneralName::IPAddress(octets) => read.ips.push(address(octets)?),
            GeneralName::Invalid(..) => return Err(BadShape),
            other => read.other = Some(sort(other)),
        }
    }
    Ok(read)
}

/// What sort of name that is, for people.
fn sort(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::OtherName(oid, _) => {
            let oid = oid.to_id_string();
            format!("otherName {}", named(&oid))
        }
        GeneralName::RFC822Name(_) => "mail address (rfc822Name)".to_owned(),
        GeneralName::DirectoryName(_) => "directoryName".to_owned(),
        GeneralName::RegisteredID(_) => "registeredID".to_owned(),
        _ => "name of an old sort".to_owned(),
    }
}

/// The hwSerialNum of a GeneralName that is a hardwareModuleName (RFC 4108 §5).
fn hardware_serial(name: Element<'_>) -> Result<Option<&[u8]>, BadShape> {
    const OTHER_NAME: u8 = 0xa0;
    if name.tag != OTHER_NAME {
        return Ok(None);
    }
    let [Some(kind), Some(value)] = name.contents([Field::One(OID), Field::One(0xa0)])? else {
        return Err(BadShape);
    };
    if kind.oid_text()? != HARDWARE_MODULE_NAME {
        return Ok(None);
    }
    let [Some(module)] = value.contents([Field::One(SEQUENCE)])? else { return Err(BadShape) };
    let [Some(hardware_type), Some(serial)] = module.fields([Field::One(OID), Field::One(OCTET_STRING)])?
    else {
        return Err(BadShape);
    };
    hardware_type.oid_text()?;
    Ok(Some(serial.content))
}

fn address(octets: &[u8]) -> Result<IpAddr, BadShape> {
    let four = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    four.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).map_err(|_| BadShape)
}

fn read_usages(list: Element<'_>) -> Result<Vec<ExtendedKeyUsage>, BadShape> {
    let mut usages = Vec::new();
    for id in list.children() {
        push(&mut usages, ExtendedKeyUsage::from_oid(&id?.oid_text()?))?;
    }
    if usages.is_empty() { Err(BadShape) } else { Ok(usages) }
}

fn read_scope(value: &[u8]) -> Result<Vec<String>, BadShape> {
    let list = Element::whole(value)?;
    let mut scope = Vec::new();
    if list.tag != SEQUENCE {
        return Err(BadShape);
    }
    for child in list.children() {
        let child = child?;
        if child.tag != UTF8_STRING {
            return Err(BadShape);
        }
        push(&mut scope, printable(core::str::from_utf8(child.content).map_err(|_| BadShape)?)?)?;
    }
    Ok(scope)
}
