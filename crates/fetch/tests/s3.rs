//! Shards in an object store like Amazon's, from a small one on the loopback interface.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod served;
mod server;

use std::ops::ControlFlow;

use dcgan_fetch::{Credentials, Options, Result, S3, ShardSet, Stores};

use served::options;
use server::{Reply, Server, honest};

fn store(server: &Server) -> Options {
    let s3 = S3 { endpoint: Some(server.address.clone()), region: "eu-west-1".into(), ..S3::default() };
    Options { stores: Stores { s3, ..Stores::default() }, ..options() }
}

/// The names that are listed, once all are fetched.
fn fetched(address: &str, options: &Options) -> Result<Vec<String>> {
    let cache = tempfile::tempdir().unwrap();
    let observe = &mut |_: dcgan_fetch::Event<'_>| ControlFlow::Continue(());
    let set = ShardSet::list(address, "tar", options, cache.path(), observe)?;
    set.fetch(&set.names(), observe)?;
    Ok(set.names())
}

/// A store that is asked to write names as in addresses does, or does not know how and writes them as XML does.
#[test]
fn names_are_read_as_the_store_says_that_it_writes_them() {
    for (is_encoded, keys) in [
        (
            true,
            ["my+sets/a%2Bb.tar", "my+sets/a+b.tar", "my%20sets/100%2525&amp;.tar", "my+sets/below/c.tar"],
        ),
        (false, ["my sets/a+b.tar", "my sets/a b.tar", "my sets/100%25&amp;.tar", "my sets/below/c.tar"]),
    ] {
        let server = Server::start(move |asked| {
            if asked.path.contains("list-type=2") {
                let keys: String = keys
                    .iter()
                    .map(|key| format!("<Contents><Key>{key}</Key><Size>3</Size></Contents>"))
                    .collect();
                let encoding = if is_encoded { "<EncodingType>url</EncodingType>" } else { "" };
                return Reply::new(
                    200,
                    format!("<ListBucketResult>{encoding}{keys}</ListBucketResult>").as_bytes(),
                );
            }
            let known = ["a%2Bb.tar", "a%20b.tar", "100%2525%26.tar", "100%2525%26amp%3B.tar"];
            let name = asked.path.strip_prefix("/bucket/my%20sets/").unwrap();
            assert!(known.contains(&name), "{name}");
            honest(b"abc", "\"1\"", asked)
        });
        let names = fetched("s3://bucket/my sets/", &store(&server)).unwrap();
        // As addresses write it, `&amp;` is five characters.
        let odd = if is_encoded { "100%25&amp;.tar" } else { "100%25&.tar" };
        assert_eq!(names, [odd, "a b.tar", "a+b.tar"]);
    }
}

#[test]
fn refusals_name_the_region_and_what_the_store_says() {
    let server = Server::start(|asked| match asked.path.contains("elsewhere") {
        true => Reply::new(
            301,
            b"<Error><Code>PermanentRedirect</Code><Message>Use the endpoint.</Message></Error>",
        )
        .header("x-amz-bucket-region", "us-west-2"),
        false => Reply::new(403, b"<Error><Message>Access Denied</Message></Error>"),
    });
    let told = |address| fetched(address, &store(&server)).unwrap_err().to_string();
    let elsewhere = told("s3://elsewhere/a.tar");
    let said = ": Use the endpoint. (the bucket's region is us-west-2; set AWS_REGION)";
    assert!(elsewhere.contains(said), "{elsewhere}");
    let closed = told("s3://bucket/a.tar");
    let said = "403 Forbidden: Access Denied (asked without a key: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set)";
    assert!(closed.contains(said), "{closed}");
}

#[test]
fn redirects_that_lead_somewhere_are_followed() {
    let elsewhere = Server::start(|asked| honest(b"abc", "\"1\"", asked));
    let at = elsewhere.address.clone();
    let server =
        Server::start(move |asked| Reply::new(307, b"").header("Location", format!("{at}{}", asked.path)));
    assert_eq!(fetched("s3://bucket/a.tar", &store(&server)).unwrap(), ["a.tar"]);
    assert_eq!(elsewhere.asked()[0].path, "/bucket/a.tar");
    // Who asks is not told to another host.
    let n_asked = elsewhere.asked().len();
    let mut signed = store(&server);
    signed.stores.s3.credentials = Some(Credentials {
        access_key: "key".into(),
        secret_key: "secret".into(),
        session_token: Some("token".into()),
    });
    let told = fetched("s3://bucket/a.tar", &signed).unwrap_err().to_string();
    assert!(told.contains("307 Temporary Redirect"), "{told}");
    assert_eq!(elsewhere.asked().len(), n_asked);
}
