use std::collections::BTreeSet;
use std::hint::black_box;
use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::body::Body;
use flate2::read::GzDecoder;
use http::Request;
use http_body_util::BodyExt as _;
use prost::Message as _;
use tower::ServiceExt as _;

use super::pprof::wire;
use super::*;

/// How often a profile is taken until something is in it that a busy machine may not have got round to.
const TRIES: usize = 30;
const PATIENCE: Duration = Duration::from_secs(120);

/// These tests take turns.
async fn alone() -> OwnedMutexGuard<()> {
    static ALONE: LazyLock<Arc<Mutex<()>>> = LazyLock::new(Arc::default);
    Arc::clone(&ALONE).lock_owned().await
}

async fn asked(pages: Router, path: &str) -> (StatusCode, Vec<u8>) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = pages.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, body.into())
}

fn decoded(bytes: &[u8]) -> wire::Profile {
    let mut plain = Vec::new();
    GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
    let profile = wire::Profile::decode(&*plain).unwrap();
    assert_eq!(profile.string_table[0], "");
    let texts = BTreeSet::from_iter(&profile.string_table);
    assert_eq!(texts.len(), profile.string_table.len(), "each text once");
    for (at, place) in profile.location.iter().enumerate() {
        assert_eq!(place.id, at as u64 + 1);
    }
    for sample in &profile.sample {
        assert_eq!(sample.value.len(), profile.sample_type.len());
        assert!(sample.value.iter().all(|value| *value > 0), "{sample:?}");
    }
    profile
}

fn text(profile: &wire::Profile, at: i64) -> &str {
    &profile.string_table[usize::try_from(at).unwrap()]
}

fn types(profile: &wire::Profile) -> Vec<[&str; 2]> {
    let types = profile.sample_type.iter().chain(&profile.period_type);
    let read = |one: &wire::ValueType| [text(profile, one.r#type), text(profile, one.unit)];
    types.map(read).collect()
}

/// The functions of a sample, the innermost first.
fn functions<'a>(profile: &'a wire::Profile, sample: &wire::Sample) -> Vec<&'a str> {
    let places = sample.location_id.iter();
    let places = places.map(|id| &profile.location[usize::try_from(*id).unwrap() - 1]);
    let lines = places.flat_map(|place| &place.line);
    let functions =
        lines.map(|line| &profile.function[usize::try_from(line.function_id).unwrap() - 1]);
    functions
        .map(|function| text(profile, function.name))
        .collect()
}

fn calls(profile: &wire::Profile, sample: &wire::Sample, name: &str) -> bool {
    functions(profile, sample)
        .iter()
        .any(|function| function.ends_with(name))
}

#[inline(never)]
fn works(seed: u64) -> u64 {
    (0..10_000).fold(seed, |sum, next| black_box(sum.wrapping_mul(31) ^ next))
}

#[inline(never)]
fn spins(ended: &AtomicBool) {
    let mut sum = 0;
    while !ended.load(Ordering::Relaxed) {
        sum = black_box(works(sum));
    }
}

#[tokio::test]
async fn a_profile_says_which_functions_of_which_threads_run() {
    let _alone = alone().await;
    let ended = Arc::new(AtomicBool::new(false));
    let spinner = std::thread::Builder::new().name("spinner".to_owned());
    let spinning = Arc::clone(&ended);
    let spinner = spinner.spawn(move || spins(&spinning)).unwrap();
    let mut seen = false;
    for _ in 0..TRIES {
        let (status, body) = asked(pages(), "/debug/pprof/profile?seconds=1").await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        let profile = decoded(&body);
        let cpu = ["cpu", "nanoseconds"];
        assert_eq!(types(&profile), [["samples", "count"], cpu, cpu]);
        assert_eq!(profile.duration_nanos, 1_000_000_000);
        seen = profile.sample.iter().any(|sample| {
            assert_eq!(sample.value[1], sample.value[0] * profile.period);
            let threads = sample.label.iter().map(|label| text(&profile, label.str));
            threads.eq(["spinner"]) && calls(&profile, sample, "tests::spins")
        });
        if seen {
            break;
        }
    }
    ended.store(true, Ordering::Relaxed);
    spinner.join().unwrap();
    assert!(seen, "who spins was never seen");
}

#[tokio::test]
async fn one_at_a_time_and_for_a_bounded_time() {
    let _alone = alone().await;
    for path in ["?seconds=0", "?seconds=61", "?seconds=-1", "?seconds=ten"] {
        let (status, body) = asked(pages(), &format!("/debug/pprof/profile{path}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(String::from_utf8(body).unwrap().contains("1 to 60"));
    }
    let pages = pages();
    let first = pages.clone().oneshot(
        Request::get("/debug/pprof/profile?seconds=60")
            .body(Body::empty())
            .unwrap(),
    );
    let refused = async {
        for path in ["/debug/pprof/profile?seconds=1", "/debug/pprof/heap"] {
            let (status, _) = asked(pages.clone(), path).await;
            assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        }
    };
    tokio::select! {
        // Asked first, it has its turn first.
        biased;
        _ = first => panic!("it takes a minute"),
        () = refused => {}
    }
    // Nobody waits for the first one any more: it gives its turn up.
    let given_up = async {
        while asked(pages.clone(), "/debug/pprof/heap").await.0 == StatusCode::TOO_MANY_REQUESTS {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let in_time = tokio::time::timeout(PATIENCE, given_up).await;
    in_time.expect("the turn is given up");
}

#[inline(never)]
fn hoards() -> Vec<Vec<u8>> {
    (0..1_024).map(|_| black_box(vec![1_u8; 4_096])).collect()
}

/// Looked at in a process of its own: what is sampled is said at the start.
#[tokio::test]
async fn who_has_taken_memory_is_told_where_it_is_sampled() {
    let _alone = alone().await;
    const SAMPLED: &str = "prof:true,lg_prof_sample:12";
    if std::env::var("_RJEM_MALLOC_CONF").as_deref() == Ok(SAMPLED) {
        let hoard = hoards();
        let (status, body) = asked(pages(), "/debug/pprof/heap").await;
        assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
        let profile = decoded(&body);
        let types = types(&profile);
        assert_eq!(
            types,
            [
                ["inuse_objects", "count"],
                ["inuse_space", "bytes"],
                ["space", "bytes"]
            ]
        );
        let hoarded = profile
            .sample
            .iter()
            .filter(|sample| calls(&profile, sample, "tests::hoards"));
        let bytes: i64 = hoarded.map(|sample| sample.value[1]).sum();
        // What is there by chance, four times either way.
        assert!(
            (1 << 20..1 << 24).contains(&bytes),
            "{bytes} of {}",
            hoard.len() << 12
        );
        // The second one is written over the first.
        let (_, body) = asked(pages(), "/debug/pprof/heap").await;
        assert!(!decoded(&body).sample.is_empty());
        return;
    }
    let (status, body) = asked(pages(), "/debug/pprof/heap").await;
    assert_eq!(status, StatusCode::NOT_IMPLEMENTED);
    assert!(
        String::from_utf8(body)
            .unwrap()
            .contains("_RJEM_MALLOC_CONF=prof:true")
    );
    let own = "profile::tests::who_has_taken_memory_is_told_where_it_is_sampled";
    let done = Command::new(std::env::current_exe().unwrap())
        .args([own, "--exact"])
        .env("_RJEM_MALLOC_CONF", SAMPLED)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stdout);
    assert!(done.status.success() && said.contains("1 passed"), "{said}");
}
