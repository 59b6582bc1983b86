use super::*;
use std::os::unix::fs::PermissionsExt as _;

/// A root certificate, made once by OpenSSL: CN=lab root, P-256, until 2126.
const ROOT: &str = include_str!("tests/root.pem");

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write("root.pem", ROOT);
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o644)).unwrap();
    }

    /// Reads a configuration in which `DIR` stands for this folder.
    fn read(&self, text: &str) -> Result<Config, Vec<Fault>> {
        self.write("agent.toml", &text.replace("DIR", &self.0.path().display().to_string()));
        Config::read(&self.0.path().join("agent.toml")).map_err(|bad| bad.faults)
    }
}

const GOOD: &str = r#"
state = "DIR/state"
socket = "DIR/agent.sock"

[[environment]]
name = "lab"
identity = "pump-01"
server = "https://authority.example:8443"
anchors = "DIR/root.pem"
token_file = "DIR/token"
users = ["root", 1001]

[[environment.hook]]
on = ["renewed", "expiring"]
command = ["/bin/sh", "-c", "true"]
timeout_s = 5

[[environment]]
name = "plant"
identity = "pump-01"
server = "https://plant.example"
anchors = "DIR/root.pem"
"#;

#[test]
fn a_whole_configuration_is_read() {
    let folder = Folder::new();
    let config = folder.read(GOOD).unwrap();
    assert_eq!(config.state.display().to_string(), folder.path("state"));
    assert_eq!(config.socket.unwrap().display().to_string(), folder.path("agent.sock"));
    let [lab, plant] = config.environments.as_slice() else { panic!("two") };
    assert_eq!((lab.name.as_str(), lab.identity.as_str(), lab.anchors.len()), ("lab", "pump-01", 1));
    assert_eq!(lab.server.to_string(), "https://authority.example:8443");
    assert!(matches!(&lab.start, StartConfig::Token(path) if path.ends_with("token")));
    assert_eq!(lab.users, Users::allowing(vec![0, 1001]));
    let command = ["/bin/sh", "-c", "true"].map(str::to_owned).to_vec();
    let on = vec![event_from_word("renewed").unwrap(), event_from_word("expiring").unwrap()];
    assert_eq!(lab.hooks, [Hook { on, command, timeout: Duration::from_secs(5) }]);
    assert!(matches!(plant.start, StartConfig::None) && plant.hooks.is_empty());
    assert_eq!(plant.server.port(), 443);
}

#[test]
fn every_fault_is_told_at_once_with_its_key() {
    let folder = Folder::new();
    folder.write("key.pem", "no key");
    let faults = folder
        .read(
            r#"
            socket = "agent.sock"
            colour = "blue"

            [[environment]]
            name = "Lab"
            identity = "../../etc"
            server = "http://authority.example"
            anchors = "DIR/nothing.pem"
            token_file = "DIR/token"
            initial_chain = "DIR/root.pem"
            users = ["nobody-of-this-name"]
            retries = 3

            [[environment.hook]]
            on = ["renewed", "moonrise"]
            command = ["sh", "-c", "true"]
            timeout_s = 0
            "#,
        )
        .unwrap_err();
    let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "state",
            "socket",
            "environment[0].name",
            "environment[0].identity",
            "environment[0].server",
            "environment[0].anchors",
            "environment[0].token_file",
            "environment[0].users",
            "environment[0].hook[0].on",
            "environment[0].hook[0].command",
            "environment[0].hook[0].timeout_s",
            "environment[0].retries",
            "colour",
        ],
        "{faults:#?}"
    );
}

#[test]
fn one_thing_wrong_is_one_fault() {
    let folder = Folder::new();
    folder.write("leaf.pem", include_str!("tests/leaf.pem"));
    folder.write("five.pem", &ROOT.repeat(5));
    folder.write("no-key.pem", "no key");
    std::fs::set_permissions(folder.path("no-key.pem"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let long = format!("socket = \"/{}\"", "s".repeat(200));
    let many = GOOD.to_owned() + &GOOD[GOOD.find("[[environment]]").unwrap()..].repeat(8);
    let rows: &[(&str, String, &str)] = &[
        ("no TOML", "state = ".into(), "file"),
        ("no environment", "state = \"/a\"\n".into(), "environment"),
        ("the same environment twice", GOOD.replace("\"plant\"", "\"lab\""), "environment"),
        ("too many environments", many, "environment"),
        ("environment is no table", "state = \"/a\"\nenvironment = 3\n".into(), "environment"),
        ("a long socket", GOOD.replacen("socket = \"DIR/agent.sock\"", &long, 1), "socket"),
        ("a leaf as anchor", GOOD.replacen("DIR/root.pem", "DIR/leaf.pem", 1), "environment[0].anchors"),
        ("five anchors", GOOD.replacen("DIR/root.pem", "DIR/five.pem", 1), "environment[0].anchors"),
        ("a folder as anchor", GOOD.replacen("DIR/root.pem", "DIR", 1), "environment[0].anchors"),
        (
            "half an initial certificate",
            GOOD.replacen("token_file = \"DIR/token\"", "initial_key = \"DIR/no-key.pem\"", 1),
            "environment[0].initial_chain",
        ),
        (
            "an initial key that is none",
            GOOD.replacen(
                "token_file = \"DIR/token\"",
                "initial_chain = \"DIR/leaf.pem\"\ninitial_key = \"DIR/no-key.pem\"",
                1,
            ),
            "environment[0].initial_key",
        ),
        (
            "a hook that never runs",
            GOOD.replacen("[\"renewed\", \"expiring\"]", "[]", 1),
            "environment[0].hook[0].on",
        ),
        (
            "a hook that is no program",
            GOOD.replacen("/bin/sh", "/etc/passwd", 1),
            "environment[0].hook[0].command",
        ),
        (
            "a command in one text",
            GOOD.replacen("[\"/bin/sh\", \"-c\", \"true\"]", "\"/bin/sh\"", 1),
            "environment[0].hook[0].command",
        ),
        ("a name that is a number", GOOD.replacen("\"pump-01\"", "1", 1), "environment[0].identity"),
    ];
    for (name, text, key) in rows {
        let faults = folder.read(text).expect_err(name);
        let keys: Vec<&str> = faults.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(keys, [*key], "{name}: {faults:#?}");
    }
}

#[test]
fn what_others_may_write_is_not_believed() {
    let folder = Folder::new();
    folder.read(GOOD).unwrap();
    let file = PathBuf::from(folder.path("agent.toml"));
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o666)).unwrap();
    let faults = Config::read(&file).unwrap_err().faults;
    assert_eq!(faults[0].why, "others may write it: chmod go-w");
    let missing = Config::read(Path::new("/nowhere/agent.toml")).unwrap_err();
    assert!(
        missing
            .to_string()
            .starts_with("/nowhere/agent.toml cannot be meant like that:\n  file: No such file")
    );
}

#[test]
fn what_an_application_may_have_signed_is_named_in_words() {
    let folder = Folder::new();
    let with = |words: &str| {
        folder.read(&GOOD.replacen("name = \"lab\"", &format!("name = \"lab\"\nsigns = {words}"), 1))
    };
    assert_eq!(folder.read(GOOD).unwrap().environments[0].signs, []);
    let both = with(r#"["tls", "certificate-request"]"#).unwrap();
    assert_eq!(both.environments[0].signs, [Foreign::Tls, Foreign::Request]);
    for bad in [r#"["TLS"]"#, r#""tls""#, r#"["anything"]"#, r#"["tls", "tls", "tls"]"#] {
        let faults = with(bad).unwrap_err();
        assert!(faults.iter().all(|fault| fault.key == "environment[0].signs"), "{bad}: {faults:?}");
    }
}

#[test]
fn a_state_folder_that_others_can_write_is_a_fault() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("state")).unwrap();
    for (mode, good) in [(0o777, false), (0o730, false), (0o750, true), (0o700, true)] {
        std::fs::set_permissions(folder.path("state"), std::fs::Permissions::from_mode(mode)).unwrap();
        let read = folder.read(GOOD);
        assert_eq!(read.is_ok(), good, "{mode:o}");
        assert!(read.err().is_none_or(|faults| faults.iter().all(|fault| fault.key == "state")), "{mode:o}");
    }
}

#[test]
fn a_command_that_asks_takes_the_socket_whatever_else_the_configuration_says() {
    let folder = Folder::new();
    let of = |text: &str| {
        folder.write("agent.toml", text);
        Config::socket_of(Path::new(&folder.path("agent.toml"))).map_err(|bad| bad.faults[0].key.clone())
    };
    assert_eq!(of("socket = \"/run/a\"\n[[environment]]\nnonsense = 1\n"), Ok(Some("/run/a".into())));
    assert_eq!(of("state = \"/a\"\n"), Ok(None));
    assert_eq!(of("socket = \"run/a\"\n"), Err("socket".to_owned()));
    assert_eq!(of("socket = "), Err("file".to_owned()));
}

/// Whoever writes the anchors decides who is trusted; whoever reads the maker's key is the device.
#[test]
fn what_others_may_change_or_read_is_not_believed() {
    let folder = Folder::new();
    let chmod = |name: &str, mode| {
        std::fs::set_permissions(folder.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    for (mode, good) in [(0o644, true), (0o664, false), (0o646, false)] {
        chmod("root.pem", mode);
        let faults = folder.read(GOOD).err().unwrap_or_default();
        assert_eq!(faults.is_empty(), good, "{mode:o}: {faults:?}");
        assert!(faults.iter().all(|fault| fault.key.ends_with("anchors")), "{mode:o}: {faults:?}");
    }
    chmod("root.pem", 0o644);
    folder.write("leaf.pem", include_str!("tests/leaf.pem"));
    let key = SoftwareKey::generate(touchmark_x509::KeyAlgorithm::P256).unwrap();
    folder.write("key.pem", key.to_pkcs8_pem().expose());
    let initial = "initial_chain = \"DIR/leaf.pem\"\ninitial_key = \"DIR/key.pem\"";
    for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false)] {
        chmod("key.pem", mode);
        let read = folder.read(&GOOD.replacen("token_file = \"DIR/token\"", initial, 1));
        let faults = read.err().unwrap_or_default();
        assert_eq!(faults.is_empty(), good, "{mode:o}: {faults:?}");
    }
}
