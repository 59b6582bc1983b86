//! The two schemas: what device policies and operator policies can speak of.

use cedar_policy::Schema;

const DEVICE: &str = include_str!("../schema/device.cedarschema");
const OPERATOR: &str = include_str!("../schema/operator.cedarschema");

/// The schema of device policies, as text for authors and editors.
pub fn device_schema() -> &'static str {
    DEVICE
}

/// The schema of operator policies, as text for authors and editors.
pub fn operator_schema() -> &'static str {
    OPERATOR
}

/// What to do about a schema of ours that does not parse.
pub(crate) const BROKEN: &str = "report this: the built-in schema is broken";

/// Parsed once per compilation; a test parses both, so a fault in our own schema cannot ship.
pub(crate) fn parse(text: &str) -> Result<Schema, String> {
    Schema::from_cedarschema_str(text).map(|(schema, _)| schema).map_err(|fault| fault.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn our_own_schemas_parse_without_a_warning() {
        for text in [super::DEVICE, super::OPERATOR] {
            let (_, warnings) = cedar_policy::Schema::from_cedarschema_str(text).unwrap();
            assert_eq!(warnings.count(), 0);
        }
    }
}
