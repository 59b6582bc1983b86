//! Identities that clients play: key and chain, one JSON object a line, in a file between driver and generator.

use crate::fault::{Outcome, While as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;

/// One device's credential.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    /// PKCS#8.
    pub(crate) key: Vec<u8>,
    /// DER, leaf first.
    pub(crate) chain: Vec<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Line {
    name: String,
    key: String,
    chain: Vec<String>,
}

/// Appends to a file.
pub(crate) fn append(path: &Path, identities: &[Identity]) -> Outcome<()> {
    let file = std::fs::File::options().create(true).append(true).open(path)?;
    let mut file = std::io::BufWriter::new(file);
    for identity in identities {
        let line = Line {
            name: identity.name.clone(),
            key: STANDARD.encode(&identity.key),
            chain: identity.chain.iter().map(|der| STANDARD.encode(der)).collect(),
        };
        serde_json::to_writer(&mut file, &line)?;
        file.write_all(b"\n")?;
    }
    Ok(file.flush()?)
}

/// Reads `count` identities after `skip`; fewer only if the file has fewer.
pub(crate) fn read(path: &Path, skip: usize, count: usize) -> Outcome<Vec<Identity>> {
    let file = std::fs::File::open(path).while_("the stock of identities")?;
    let mut identities = Vec::new();
    for line in BufReader::new(file).lines().skip(skip).take(count) {
        let line: Line = serde_json::from_str(&line?)?;
        let chain: Result<Vec<_>, _> = line.chain.iter().map(|der| STANDARD.decode(der)).collect();
        identities.push(Identity { name: line.name, key: STANDARD.decode(line.key)?, chain: chain? });
    }
    if identities.is_empty() {
        return Err("the stock of identities is used up".into());
    }
    Ok(identities)
}
