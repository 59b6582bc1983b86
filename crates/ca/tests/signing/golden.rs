//! Bytes that must not change unnoticed. `TOUCHMARK_BLESS=1` rewrites the files under `tests/golden/`.

use crate::crl::{entries, list};
use crate::fixtures::{
    certificate_of, device_order, issuing, issuing_key, operator_order, planned, prepared, root,
    service_order,
};
use std::path::Path;

#[test]
fn what_is_signed_is_golden() {
    let authority = prepared(issuing(), &issuing_key(), 4);
    let leaf = |parts| certificate_of(planned(parts, &authority).unwrap(), &issuing_key()).der().to_vec();
    for (name, der) in [
        ("root", root().der().to_vec()),
        ("issuing", issuing().der().to_vec()),
        ("device", leaf(device_order())),
        ("service", leaf(service_order())),
        ("operator", leaf(operator_order())),
        ("crl-empty", list(1, &[]).der),
        ("crl", list(0x0102_0304_0506, &entries()).der),
    ] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(format!("{name}.hex"));
        let text: String = der.chunks(32).map(|line| hex::encode(line) + "\n").collect();
        if std::env::var_os("TOUCHMARK_BLESS").is_some_and(|value| value == "1") {
            std::fs::write(&file, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), text, "{name}: bytes changed");
    }
}
