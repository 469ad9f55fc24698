use chat_conform::Suite;

#[test]
fn chat_server_conforms() {
    let report = Suite::new(env!("CARGO_BIN_EXE_chat-server"))
        .strict(true)
        .run()
        .unwrap();
    assert!(report.has_passed(), "{report}");
}
