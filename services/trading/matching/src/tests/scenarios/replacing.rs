//! Replacing and cancelling.

use expect_test::expect;

use super::check;

#[test]
fn reducing_keeps_the_place_in_the_queue() {
    check(
        "A 1 sell 5 @1001
         B 2 sell 5 @1001
         A replace 1 by 3 sell 4 @1001
         C 4 buy 5 @1001",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 sell 5 @1001
                market 3: Sell 1001 has 10
            A replace 1 by 3 sell 4 @1001
                A: 1 replaced by 3 cum 0
                market 4: Sell 1001 has 9
            C 4 buy 5 @1001
                A: 3 made Sell 4@1001 costs 400400 fee -40 cum 4
                C: 4 took Buy 4@1001 costs 400400 fee 1001 cum 4
                A: 3 ended Filled cum 4
                market 5: trade 4@1001 Buy
                market 6: Sell 1001 has 5
                B: 2 made Sell 1@1001 costs 100100 fee -10 cum 1
                C: 4 took Buy 1@1001 costs 100100 fee 250 cum 5
                C: 4 ended Filled cum 5
                market 7: trade 1@1001 Buy
                market 8: Sell 1001 has 4
                all: reference 1001
        "#]],
    );
}

#[test]
fn any_other_replacement_goes_to_the_end_of_the_queue() {
    check(
        "A 1 sell 5 @1001
         B 2 sell 5 @1001
         A replace 1 by 3 sell 6 @1001
         C 4 buy 6 @1001
         A replace 3 by 5 sell 6 @1003",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 sell 5 @1001
                market 3: Sell 1001 has 10
            A replace 1 by 3 sell 6 @1001
                A: 1 replaced by 3 cum 0
                market 4: Sell 1001 has 11
            C 4 buy 6 @1001
                B: 2 made Sell 5@1001 costs 500500 fee -50 cum 5
                C: 4 took Buy 5@1001 costs 500500 fee 1251 cum 5
                B: 2 ended Filled cum 5
                market 5: trade 5@1001 Buy
                market 6: Sell 1001 has 6
                A: 3 made Sell 1@1001 costs 100100 fee -10 cum 1
                C: 4 took Buy 1@1001 costs 100100 fee 250 cum 6
                C: 4 ended Filled cum 6
                market 7: trade 1@1001 Buy
                market 8: Sell 1001 has 5
                all: reference 1001
            A replace 3 by 5 sell 6 @1003
                A: 3 replaced by 5 cum 1
                market 9: Sell 1001 has 0
                market 10: Sell 1003 has 5
        "#]],
    );
}

#[test]
fn a_replacement_counts_what_has_traded() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 3 @1001
         A replace 1 by 3 sell 3 @1001
         A replace 1 by 4 sell 4 @1002
         B 5 buy 9 @1002",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 3 @1001
                A: 1 made Sell 3@1001 costs 300300 fee -30 cum 3
                B: 2 took Buy 3@1001 costs 300300 fee 751 cum 3
                B: 2 ended Filled cum 3
                market 3: trade 3@1001 Buy
                market 4: Sell 1001 has 2
                all: reference 1001
            A replace 1 by 3 sell 3 @1001
                A: 1 not replaced by 3: QuantityTraded { cum_lots: 3 }
            A replace 1 by 4 sell 4 @1002
                A: 1 replaced by 4 cum 3
                market 5: Sell 1001 has 0
                market 6: Sell 1002 has 1
            B 5 buy 9 @1002
                A: 4 made Sell 1@1002 costs 100200 fee -10 cum 4
                B: 5 took Buy 1@1002 costs 100200 fee 250 cum 1
                A: 4 ended Filled cum 4
                market 7: trade 1@1002 Buy
                market 8: Sell 1002 has 0
                market 9: Buy 1002 has 8
        "#]],
    );
}

#[test]
fn a_replacement_that_crosses_trades() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 9 @1000
         B replace 2 by 3 buy 9 @1001
         B replace 2 by 4 buy 9 @999",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 9 @1000
                market 3: Buy 1000 has 9
            B replace 2 by 3 buy 9 @1001
                B: 2 replaced by 3 cum 0
                market 4: Buy 1000 has 0
                A: 1 made Sell 5@1001 costs 500500 fee -50 cum 5
                B: 3 took Buy 5@1001 costs 500500 fee 1251 cum 5
                A: 1 ended Filled cum 5
                market 5: trade 5@1001 Buy
                market 6: Sell 1001 has 0
                market 7: Buy 1001 has 4
                all: reference 1001
            B replace 2 by 4 buy 9 @999
                B: 2 not replaced by 4: NotLiving
        "#]],
    );
}

#[test]
fn a_refused_replacement_leaves_the_order() {
    check(
        "A 1 sell 5 @1001
         B 2 buy 5 @1000
         B replace 2 by 3 buy 5 @1001 post
         B replace 2 by 4 buy 5 @1051
         halt
         B replace 2 by 5 buy 5 @999
         resume
         B replace 2 by 6 buy 5 @999",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            B 2 buy 5 @1000
                market 3: Buy 1000 has 5
            B replace 2 by 3 buy 5 @1001 post
                B: 2 not replaced by 3: PostOnlyWouldTrade
            B replace 2 by 4 buy 5 @1051
                B: 2 not replaced by 4: OutsideCollar { low_ticks: 950, high_ticks: 1050 }
            halt
                all: halted true
                market 4: halted true
            B replace 2 by 5 buy 5 @999
                B: 2 not replaced by 5: Halted
            resume
                all: halted false
                market 5: halted false
            B replace 2 by 6 buy 5 @999
                B: 2 replaced by 6 cum 0
                market 6: Buy 1000 has 0
                market 7: Buy 999 has 5
        "#]],
    );
}

#[test]
fn a_cancel_of_either_id_of_a_pair_ends_what_lives() {
    check(
        "A 1 sell 5 @1001
         A replace 1 by 2 sell 5 @1002
         A cancel 1
         A 3 sell 5 @1001
         A replace 3 by 4 sell 4 @1001
         A cancel 3
         B 5 buy 5 @1000
         A 6 sell 1 @1001
         B replace 5 by 7 buy 5 @1001 post
         C cancel 7
         B cancel 7
         B cancel 5",
        expect![[r#"
            A 1 sell 5 @1001
                market 2: Sell 1001 has 5
            A replace 1 by 2 sell 5 @1002
                A: 1 replaced by 2 cum 0
                market 3: Sell 1001 has 0
                market 4: Sell 1002 has 5
            A cancel 1
                A: 2 ended Canceled(Requested) cum 0
                market 5: Sell 1002 has 0
            A 3 sell 5 @1001
                market 6: Sell 1001 has 5
            A replace 3 by 4 sell 4 @1001
                A: 3 replaced by 4 cum 0
                market 7: Sell 1001 has 4
            A cancel 3
                A: 4 ended Canceled(Requested) cum 0
                market 8: Sell 1001 has 0
            B 5 buy 5 @1000
                market 9: Buy 1000 has 5
            A 6 sell 1 @1001
                market 10: Sell 1001 has 1
            B replace 5 by 7 buy 5 @1001 post
                B: 5 not replaced by 7: PostOnlyWouldTrade
            C cancel 7
            B cancel 7
                B: 5 ended Canceled(Requested) cum 0
                market 11: Buy 1000 has 0
            B cancel 5
        "#]],
    );
}
