use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn facts(folder: &Path) -> HookFacts {
    HookFacts {
        event: HookEvent::Renewed,
        environment: "lab".parse().unwrap(),
        identity: "pump-01".parse().unwrap(),
        files: ["key.pem", "chain.pem", "anchors.pem"].map(|name| folder.join(name)),
        not_after: Some(Timestamp::from_unix_s(0)),
    }
}

fn hook(command: &[&str], timeout: Duration) -> Hook {
    let command = command.iter().map(|&word| word.to_owned()).collect();
    Hook { on: vec![HookEvent::Renewed], command, timeout }
}

#[test]
fn a_hook_learns_the_files_and_nothing_of_our_environment() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("env");
    let script = folder.path().join("hook");
    std::fs::write(&script, "#!/bin/sh\nenv >\"$1\"\npwd >>\"$1\"\n").unwrap();
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o700)).unwrap();
    let words = [script.to_str().unwrap(), out.to_str().unwrap()];
    hook(&words, Duration::from_secs(60)).run(&facts(folder.path())).unwrap();
    let text = std::fs::read_to_string(out).unwrap();
    let has = |line: &str| assert!(text.lines().any(|known| known == line), "{line} in\n{text}");
    has("TOUCHMARK_EVENT=renewed");
    has("TOUCHMARK_ENVIRONMENT=lab");
    has("TOUCHMARK_IDENTITY=pump-01");
    has(&format!("TOUCHMARK_KEY_FILE={}", folder.path().join("key.pem").display()));
    has("TOUCHMARK_NOT_AFTER=1970-01-01T00:00:00.000Z");
    has("/");
    assert!(!text.contains("HOME=") && !text.contains("CARGO"), "{text}");
}

#[test]
fn a_hook_that_fails_says_how() {
    let folder = tempfile::tempdir().unwrap();
    let rows: &[(&str, &[&str], &str)] = &[
        ("exit code", &["/bin/sh", "-c", "exit 3"], "`/bin/sh` ended with exit code 3"),
        ("signal", &["/bin/sh", "-c", "kill -9 $$"], "`/bin/sh` ended with signal 9"),
        ("no program", &["/nowhere"], "`/nowhere` could not start: No such file or directory (os error 2)"),
    ];
    for (name, words, expected) in rows {
        let fault = hook(words, Duration::from_secs(60)).run(&facts(folder.path())).unwrap_err();
        assert_eq!(fault.to_string(), *expected, "{name}");
    }
}

#[test]
fn a_hook_that_hangs_is_killed_with_what_it_started() {
    let folder = tempfile::tempdir().unwrap();
    // The grandchild holds the pipe open as long as it lives.
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command =
        hook(&["/bin/sh", "-c", "sleep 600 & wait"], Duration::ZERO).order(&facts(folder.path()));
    let mut child = command.stdout(writer).spawn().unwrap();
    drop(command);
    kill(&mut child);
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut reader, &mut rest).unwrap();
    let hanging = hook(&["/bin/sh", "-c", "sleep 600 & wait"], Duration::from_millis(50));
    let fault = hanging.run(&facts(folder.path())).unwrap_err();
    assert!(matches!(fault, HookFault::Timeout { .. }), "{fault}");
}
