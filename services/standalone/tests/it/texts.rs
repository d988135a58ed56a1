//! Texts over gRPC that no database keeps as they are. In JSON nobody can write them.

use prepx_domain::{AccountId, Micros, Slot};
use prepx_proto::portfolio::v1::DepositRequest;
use prepx_proto::portfolio::v1::admin_service_client::AdminServiceClient as Portfolio;
use prepx_proto::user::v1::CreateKeyRequest;
use prepx_proto::user::v1::user_service_client::UserServiceClient;
use tonic::{Code, Status};

use crate::platform::{Key, Platform};

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(answer: Result<T, Status>, name: &str) {
    let status = answer.expect_err("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let words = format!("{name} has the character U+0000, which is not allowed");
    assert_eq!(status.message(), words);
}

#[tokio::test]
async fn names_with_the_character_zero_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let platform = Platform::start(directory.path());
    let slot = Slot::new(0).expect("there is one");
    let deposit = Key::operator().sign(DepositRequest {
        account_id: AccountId::next(slot, Micros(0), None).to_string(),
        asset: "USD".into(),
        amount: "1".into(),
        idempotency_key: "a\0b".into(),
    });
    let deposited = Portfolio::new(platform.peer()).deposit(deposit).await;
    assert_refused(deposited, "idempotency_key");
    let trader = platform.add_trader("zero@example.com", "1").await;
    let key = trader.sign(CreateKeyRequest {
        name: "a\0b".into(),
        scopes: vec![],
    });
    let made = UserServiceClient::new(platform.peer())
        .create_key(key)
        .await;
    assert_refused(made, "name");
}
