//! A maker's factory, with OpenSSL: an authority, and certificates for pieces of hardware.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};
use touchmark_identity::Timestamp;
use touchmark_tests::{Lab, Program};
use touchmark_x509::Certificate;

/// The end of what is meant to last as long as the hardware (IEEE 802.1AR §8.7).
pub(crate) const FOR_EVER: &str = "99991231235959Z";

/// A maker's authority.
pub(crate) struct Factory<'a> {
    openssl: &'a Program,
    directory: PathBuf,
}

/// A certificate and its key, as files.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
}

impl Pair {
    pub(crate) fn read(&self) -> Vec<Certificate> {
        Certificate::from_pem_many(&std::fs::read_to_string(&self.certificate).unwrap()).unwrap()
    }
}

/// What is particular about one certificate.
#[derive(Clone, Copy)]
pub(crate) struct Plan<'a> {
    /// OpenSSL's notation.
    pub(crate) subject: &'a str,
    /// More lines for the extensions' section.
    pub(crate) extensions: &'a str,
    /// OpenSSL's notation.
    pub(crate) not_after: &'a str,
}

const INITIAL: &str = "basicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n";
const AUTHORITY: &str = "basicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n";

/// OpenSSL's notation of a moment that is so far away.
pub(crate) fn from_now(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let at = Timestamp::from_unix_s((now + Duration::from_secs(seconds)).as_secs()).to_string();
    at.split('.').next().unwrap().chars().filter(char::is_ascii_digit).collect::<String>() + "Z"
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

impl<'a> Factory<'a> {
    /// A root of its own.
    pub(crate) fn new(openssl: &'a Program, lab: &Lab, name: &str, not_after: &str) -> Self {
        let directory = lab.path(name);
        std::fs::create_dir(&directory).unwrap();
        let factory = Self { openssl, directory };
        let directory = text(&factory.directory);
        let settings = format!(
            "[ca]\ndefault_ca = here\n[here]\ndatabase = {directory}/index\nnew_certs_dir = {directory}\n\
             rand_serial = yes\ndefault_md = sha256\npolicy = any\nunique_subject = no\ncopy_extensions = none\n\
             [any]\norganizationName = optional\ncommonName = optional\nserialNumber = optional\n"
        );
        std::fs::write(factory.file("settings"), settings).unwrap();
        std::fs::write(factory.file("index"), "").unwrap();
        let subject = format!("/O={name}/CN={name} device CA");
        let (key, request) = factory.key_and_request("ca", &subject);
        let plan = Plan { subject: &subject, extensions: "", not_after };
        factory.certify("ca", &request, AUTHORITY, &plan, &["-selfsign", "-keyfile", &text(&key)]);
        factory
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Its certificate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.file("ca.pem")
    }

    fn key_and_request(&self, name: &str, subject: &str) -> (PathBuf, PathBuf) {
        let (key, request) = (self.file(&format!("{name}.key")), self.file(&format!("{name}.csr")));
        let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
        self.openssl.good([&["genpkey"][..], &curve, &["-out", &text(&key)]].concat());
        self.openssl.good(["req", "-new", "-key", &text(&key), "-subj", subject, "-out", &text(&request)]);
        (key, request)
    }

    fn certify(&self, name: &str, request: &Path, base: &str, plan: &Plan<'_>, signer: &[&str]) -> PathBuf {
        let (extensions, out) = (self.file(&format!("{name}.ext")), self.file(&format!("{name}.pem")));
        let keys = "subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n";
        std::fs::write(&extensions, format!("{base}{keys}{}\n", plan.extensions)).unwrap();
        let settings = text(&self.file("settings"));
        let words = ["ca", "-batch", "-notext", "-preserveDN", "-config", &settings, "-in", &text(request)]
            .map(str::to_owned);
        let more = ["-startdate", "20200101000000Z", "-enddate", plan.not_after, "-out", &text(&out)]
            .map(str::to_owned);
        let extensions = ["-extfile".to_owned(), text(&extensions)];
        let signer = signer.iter().map(|&word| word.to_owned());
        self.openssl.good(words.into_iter().chain(more).chain(extensions).chain(signer));
        out
    }

    /// A certificate of this factory's authority.
    pub(crate) fn make(&self, name: &str, plan: &Plan<'_>) -> Pair {
        let (key, request) = self.key_and_request(name, plan.subject);
        let base = if plan.extensions.contains("CA:TRUE") { "" } else { INITIAL };
        let (ca, ca_key) = (text(&self.authority()), text(&self.file("ca.key")));
        let certificate = self.certify(name, &request, base, plan, &["-cert", &ca, "-keyfile", &ca_key]);
        Pair { certificate, key }
    }

    /// An initial certificate as IEEE 802.1AR has it: no end, and the hardware in subject and subjectAltName.
    pub(crate) fn initial(&self, hardware_id: &str) -> Pair {
        let plan = Plan {
            subject: &format!("/O=acme/serialNumber={hardware_id}"),
            extensions: &module(hardware_id),
            not_after: FOR_EVER,
        };
        self.make(&format!("initial-{hardware_id}"), &plan)
    }
}

/// A hardwareModuleName (RFC 4108 §5) in OpenSSL's notation.
pub(crate) fn module(hardware_id: &str) -> String {
    format!(
        "subjectAltName = otherName:1.3.6.1.5.5.7.8.4;SEQ:module\n\
         [module]\ntype = OID:2.999.9.1\nserial = FORMAT:ASCII,OCTETSTRING:{hardware_id}\n"
    )
}

/// A new key and a request for it, made by OpenSSL.
pub(crate) struct Request {
    pub(crate) key: PathBuf,
    pub(crate) der: PathBuf,
}

/// A request for a key that is there, or for a new one.
pub(crate) fn request(
    openssl: &Program,
    lab: &Lab,
    name: &str,
    subject: &str,
    key: Option<&Path>,
) -> Request {
    let (own, der) = (lab.path(&format!("{name}.key")), lab.path(&format!("{name}.der")));
    let key = key.map_or(own, Path::to_owned);
    if !key.exists() {
        let curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"];
        openssl.good([&["genpkey"][..], &curve, &["-out", &text(&key)]].concat());
    }
    openssl.good([
        "req",
        "-new",
        "-key",
        &text(&key),
        "-subj",
        subject,
        "-outform",
        "DER",
        "-out",
        &text(&der),
    ]);
    Request { key, der }
}
