//! The HTTP form of the service, as the gateway derives it from the proto.

use ::http::Method;
use expect_test::expect;
use prepx_proto::user::v1 as wire;
use prepx_transcode::Router;
use prost::Message;

fn router() -> Router {
    Router::build(prepx_proto::descriptors()).expect("sound protos")
}

#[test]
fn every_path_leads_to_its_method() {
    let router = router();
    let found: Vec<String> = [
        (Method::POST, "/api/v1/users"),
        (Method::POST, "/api/v1/sessions"),
        (Method::POST, "/api/v1/sessions/refresh"),
        (Method::DELETE, "/api/v1/sessions/current"),
        (Method::GET, "/api/v1/users/me"),
        (Method::GET, "/api/users/profile"),
        (Method::POST, "/api/v1/keys"),
        (Method::GET, "/api/v1/keys"),
        (Method::DELETE, "/api/v1/keys/PKAAAA"),
        (Method::GET, "/.well-known/jwks.json"),
        (Method::POST, "/api/v1/admin/accounts"),
        (
            Method::DELETE,
            "/api/v1/admin/users/00000000-0000-0000-0000-000000000000",
        ),
    ]
    .into_iter()
    .map(|(method, path)| {
        let call = router.find(&method, path).expect(path);
        let route = call.route();
        format!(
            "{} {:?} {:?}",
            route.method().name(),
            route.auth(),
            route.scope()
        )
    })
    .collect();
    expect![[r#"
        SignUp None None
        SignIn None None
        RefreshSession None None
        SignOut Trader None
        GetProfile Trader Some("profile:read")
        GetProfile Trader Some("profile:read")
        CreateKey Trader Some("keys:write")
        ListKeys Trader Some("keys:read")
        RevokeKey Trader Some("keys:write")
        GetJwks None None
        AddAccount Operator Some("admin:write")
        EraseUser Operator Some("admin:write")
    "#]]
    .assert_eq(&(found.join("\n") + "\n"));
}

#[test]
fn published_keys_have_the_form_of_the_standard() {
    let key = wire::Jwk {
        kty: "RSA".to_owned(),
        r#use: "sig".to_owned(),
        alg: "RS256".to_owned(),
        kid: "id".to_owned(),
        n: "AQ".to_owned(),
        e: "AQAB".to_owned(),
    };
    let reply = wire::Jwks { keys: vec![key] }.encode_to_vec();
    let router = router();
    let call = router
        .find(&Method::GET, "/.well-known/jwks.json")
        .expect("is there");
    let json = call.route().encode(&reply).expect("has a JSON form");
    expect![[
        r#"{"keys":[{"kty":"RSA","use":"sig","alg":"RS256","kid":"id","n":"AQ","e":"AQAB"}]}"#
    ]]
    .assert_eq(&String::from_utf8(json).expect("text"));
}

#[test]
fn a_session_reads_as_clients_expect_it() {
    let user = wire::User {
        id: "u".to_owned(),
        email: "ada@example.com".to_owned(),
        role: wire::Role::Trader.into(),
        account_id: None,
        simulated: false,
        created_at: 1_800_000_000_000_000,
    };
    let session = wire::Session {
        expires_in: 900,
        user: Some(user),
        ..wire::Session::default()
    };
    let router = router();
    let call = router
        .find(&Method::POST, "/api/v1/sessions")
        .expect("is there");
    let json = call
        .route()
        .encode(&session.encode_to_vec())
        .expect("has a JSON form");
    expect![[r#"{"id":"","access_token":"","token_type":"","expires_in":900,"refresh_token":"","ends_at":null,"user":{"id":"u","email":"ada@example.com","role":"trader","account_id":null,"simulated":false,"created_at":"2027-01-15T08:00:00Z"}}"#]].assert_eq(&String::from_utf8(json).expect("text"));
}
