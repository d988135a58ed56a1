//! The OpenAPI document: complete, sound in its references, and speaking of what clients see.

use expect_test::expect;
use serde_json::Value;

use crate::desk::DESK;

fn document() -> Value {
    prepx_transcode::openapi(&DESK, "Desk", "1.0.0")
}

/// Calls `visit` on every `$ref` below a value.
fn references(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                match member {
                    Value::String(target) if key == "$ref" => visit(target),
                    _ => references(member, visit),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, visit)),
        _ => {}
    }
}

#[test]
fn every_route_is_there_and_every_reference_leads_somewhere() {
    let document = document();
    let paths = document["paths"].as_object().unwrap();
    let operations: usize = paths
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    // All but the second form of the asset's path, which is the same in OpenAPI.
    assert_eq!(operations, DESK.routes().len() - 1);
    let mut ids: Vec<&str> = paths
        .values()
        .flat_map(|path| path.as_object().unwrap().values())
        .map(|operation| operation["operationId"].as_str().unwrap())
        .collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), operations);
    let mut seen = 0;
    references(&document, &mut |target| {
        seen += 1;
        let pointer = target.strip_prefix('#').unwrap();
        assert!(
            document.pointer(pointer).is_some_and(Value::is_object),
            "{target}"
        );
    });
    assert!(seen > 30, "{seen}");
}

#[test]
fn operations_say_what_they_take_and_give() {
    let document = document();
    let shown = |value: &Value| value.to_string();
    expect![[r##"{"description":"Places an order.\n\nNeeds the scope `orders:write`.","operationId":"desk_v1_Desk_PlaceOrder","parameters":[],"requestBody":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/desk.v1.PlaceOrderRequest"}}}},"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/desk.v1.Order"}}},"description":"OK"},"default":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}},"description":"An error"}},"security":[{"keyId":[],"secretKey":[]},{"bearer":[]}],"summary":"Places an order","tags":["desk.v1.Desk"]}"##]].assert_eq(&shown(&document["paths"]["/v2/orders"]["post"]));
    expect![[r##"{"operationId":"desk_v1_Desk_ReplaceOrder","parameters":[{"in":"path","name":"order_id","required":true,"schema":{"type":"string"}}],"requestBody":{"content":{"application/json":{"schema":{"properties":{"qty":{"anyOf":[{"format":"decimal","type":"string"},{"type":"null"}]}},"type":"object"}}}},"responses":{"200":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/desk.v1.Order"}}},"description":"OK"},"default":{"content":{"application/json":{"schema":{"$ref":"#/components/schemas/Error"}}},"description":"An error"}},"security":[{"keyId":[],"secretKey":[]},{"bearer":[]}],"tags":["desk.v1.Desk"]}"##]].assert_eq(&shown(&document["paths"]["/v2/orders/{order_id}"]["patch"]));
    expect![[r#"{"anyOf":[{"format":"date-time","type":"string"},{"type":"null"}]}"#]].assert_eq(
        &shown(&document["components"]["schemas"]["desk.v1.Order"]["properties"]["filled_at"]),
    );
    expect![[r##"{"properties":{"bars":{"additionalProperties":{"items":{"$ref":"#/components/schemas/desk.v1.Bar"},"type":"array"},"type":"object"},"next_page_token":{"anyOf":[{"type":"string"},{"type":"null"}]}},"type":"object"}"##]].assert_eq(&shown(
        &document["components"]["schemas"]["desk.v1.BarsReply"],
    ));
    expect![[r##"{"application/json":{"schema":{"additionalProperties":{"$ref":"#/components/schemas/desk.v1.Snapshot"},"type":"object"}}}"##]].assert_eq(&shown(
        &document["paths"]["/v2/stocks/snapshots"]["get"]["responses"]["200"]["content"],
    ));
    let names: Vec<&str> = document["paths"]["/v2/orders"]["get"]["parameters"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parameter| parameter["name"].as_str().unwrap())
        .collect();
    expect![
        "status limit after nested symbols side types until date page.size page.token max_age end"
    ]
    .assert_eq(&names.join(" "));
}
