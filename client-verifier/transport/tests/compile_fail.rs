//! A session, from which alone requests are sent, cannot be had but by verification.

#[test]
fn a_session_cannot_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/compile_fail/*.rs");
}
