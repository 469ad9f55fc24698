use crate::certs::{Authority, Folder};
use crate::nats::{Nats, is_installed};
use crate::util::{Server, chat_server, run};

#[test]
fn nats_is_reached_over_tls_with_a_certificate_on_both_sides() {
    if !is_installed() {
        return;
    }
    let (authority, other, folder) = (Authority::new(), Authority::new(), Folder::new());
    let [of_nats, own] = [authority.issue(), authority.issue()];
    let file = |name: &str, text: &str| folder.write(name, text);
    let ca = file("ca.pem", &authority.pem);
    let other_ca = file("other.pem", &other.pem);
    let cert = file("own.pem", &own.cert);
    let key = file("own.key", &own.key);
    let nats = Nats::start_with(&format!(
        "jetstream {{ store_dir: \"DIR/js\", max_file: 4G }}\n\
         tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {ca:?}, verify: true }}",
        file("nats.pem", &of_nats.cert),
        file("nats.key", &of_nats.key),
    ));
    let command = |ca: &str, timeout: &str| {
        let mut command = chat_server();
        let url = nats.url().replace("nats://", "tls://");
        command.args(["127.0.0.1:0", "--cluster", &url, "--cluster-stream", "room"]);
        command.args([
            "--node",
            "a",
            "--cluster-replicas",
            "1",
            "--cluster-tls-ca",
            ca,
        ]);
        command.args(["--cluster-join-timeout", timeout]);
        command
    };
    let mut mutual = command(&ca, "60s");
    mutual.args(["--cluster-tls-cert", &cert, "--cluster-tls-key", &key]);
    let server = Server::spawn(mutual);
    server.join(b"hello");
    // It trusts another CA, and the other way round it has no certificate.
    for mut command in [command(&other_ca, "1s"), command(&ca, "1s")] {
        let output = run(&mut command, b"");
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(
            stderr.contains("error: cannot join the cluster"),
            "{stderr}"
        );
    }
    // Files that are no good are told, and nothing is waited for.
    let no_ca = file("none.pem", "no certificate");
    let cases = [
        ("/no/such/file", "cannot read /no/such/file: "),
        (&no_ca, "has no certificate"),
    ];
    for (ca, why) in cases {
        let mut checking = command(ca, "1h");
        checking.arg("--check-config");
        for mut command in [command(ca, "1h"), checking] {
            let output = run(&mut command, b"");
            let stderr = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(1), "{stderr}");
            assert!(stderr.contains(why), "{stderr}");
        }
    }
}
