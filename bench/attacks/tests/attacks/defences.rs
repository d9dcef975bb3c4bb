//! What a client can do by itself, on the same corpus.

use aegis_attacks::defences;
use aegis_attacks::defences::Defence;
use aegis_attacks::defences::Gate;
use aegis_attacks::defences::Log;
use aegis_attacks::defences::Screening;

/// Each defence stops something, none stops everything, and none sees a theft: the figures of
/// RESULTS.md come from the same functions.
#[tokio::test(flavor = "multi_thread")]
async fn each_defence_stops_something_and_none_sees_a_theft() {
    let corpus = defences::attacked().await.unwrap();
    let screening = Screening::learned(&defences::benign(0));
    let defences: [&dyn Defence; 2] = [&Gate, &screening];
    for defence in defences {
        let judged = defences::judge(defence, &corpus);
        let [rewriting, substitution, conditional, theft] = judged.refused;
        assert!(rewriting.0 == rewriting.1 && conditional.0 == conditional.1, "{judged:?}");
        assert!(substitution.0 > 0 && substitution.1 == 24, "{judged:?}");
        assert_eq!((theft.0, theft.1), (0, 24), "{judged:?}");
        assert!(judged.false_positives.0 > 0, "a benign corpus without a hard case: {judged:?}");
    }
    let mut log = Log::default();
    for call in &corpus {
        log.append(&call.command);
    }
    assert!(log.is_whole());
    // Known by its indicator, each is found afterwards: AC-1 and AC-1.b, eight variants each.
    assert_eq!(log.find("install.sh"), 6 * 8);
}
