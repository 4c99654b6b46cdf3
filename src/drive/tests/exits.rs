//! Components that end: jobs, crashes, early exits, crash loops.

use super::harness::*;
use crate::cluster::{Component, GateCondition, RestartPolicy};
use crate::drive::driver::Options;
use crate::engine::fake::{Behaviour, Op};
use crate::event::{EventKind, Outcome, Phase};

#[tokio::test(start_paused = true)]
async fn one_exits_until_its_peer_runs() {
    let engine = engine(1)
        .behave("a", Behaviour::default().needs(["b"]).gives_up(ms(100), 3))
        .behave("b", Behaviour::ready_after(ms(900)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.phases("a").contains(&Phase::Restarting), "{}", ran.story());
    assert!(calls(&engine, Op::Start, "a").len() <= 6);
    assert_eq!(calls(&engine, Op::Create, "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn both_exit_until_the_other_is_there() {
    // Each gives up after 100 ms without the other; starts take a second apart, so the first ones miss each other.
    let engine = engine(1)
        .behave("a", Behaviour::ready_after(ms(10)).needs(["b"]).gives_up(ms(100), 3))
        .behave("b", Behaviour::ready_after(ms(10)).needs(["a"]).gives_up(ms(100), 3).start_latency(ms(700)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < secs(10), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn early_exits_are_bounded() {
    let engine = engine(1).behave("a", Behaviour::exits(ms(50), 7)).behave("b", Behaviour::never_ready(ms(10)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Failed);
    assert_eq!(calls(&engine, Op::Start, "a").len(), 6, "{}", ran.story());
    assert_eq!(ran.failures()[0].exit_code, Some(7));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_is_not_there_is_no_early_exit() {
    let engine = engine(1).behave("a", Behaviour::exits(ms(50), 127)).behave("b", Behaviour::never_ready(ms(10)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Failed);
    assert_eq!(calls(&engine, Op::Start, "a").len(), 1, "{}", ran.story());
    assert!(ran.took < secs(1), "{}", ran.story());
}

/// One gives up in no time, the other boots slowly and then needs it.
#[tokio::test(start_paused = true)]
async fn a_slow_boot_in_a_cycle_is_waited_for() {
    let slow = Behaviour { live_after: secs(15), ..Behaviour::ready_after(secs(15)).needs(["a"]) };
    let engine = engine(1).behave("a", Behaviour::default().needs(["b"]).gives_up(ms(100), 3)).behave("b", slow);
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert!(ran.took < secs(16), "{}", ran.story());
}

/// A server that ends with 0 when the engine goes away isn't a job that is done.
#[tokio::test(start_paused = true)]
async fn an_end_with_0_in_an_outage_is_no_completion() {
    let engine = engine(1).behave("b", Behaviour::ready_after(secs(5)));
    let breaker = engine.clone();
    let cluster = cluster([plain("a"), http("b")]);
    let (ran, ()) = tokio::join!(up(&engine, &cluster), async move {
        tokio::time::sleep(ms(400)).await;
        breaker.break_events();
        breaker.crash("a", 0);
    });
    let ran = ran.is(Outcome::Ready);
    assert!(!ran.phases("a").contains(&Phase::Completed), "{}", ran.story());
    assert_eq!(calls(&engine, Op::Start, "a").len(), 2, "{}", ran.story());
}

/// On a busy engine an end is seen late: what counts is whether the peer was there when the run began.
#[tokio::test(start_paused = true)]
async fn one_that_began_before_its_peer_was_ready_gets_another_try() {
    let gives_up = Behaviour::never_ready(ms(5)).exiting(ms(500), 7);
    let engine = engine(1).behave("a", gives_up).behave("b", Behaviour::ready_after(ms(200)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Failed);
    assert_eq!(calls(&engine, Op::Start, "a").len(), 2, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn one_that_began_before_its_peer_was_ready_gets_a_second_run_and_no_third() {
    // That the first run ended is learned when the peer is ready already.
    let engine = engine(1)
        .behave("a", Behaviour::never_ready(ms(10)).exiting(ms(900), 7))
        .behave("b", Behaviour::ready_after(ms(300)));
    let cluster = cluster([member(http("a"), &["b"]), member(http("b"), &["a"])]);
    let ran = up(&engine, &cluster).await.is(Outcome::Failed);
    assert_eq!(calls(&engine, Op::Start, "a").len(), 2, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn without_the_rule_an_exit_is_a_failure() {
    let engine = engine(1).behave(
        "a",
        Behaviour::never_ready(ms(5))
            .exiting(ms(400), 1)
            .prints(ms(10), "hello")
            .complains(ms(390), "cannot open file"),
    );
    let ran = up(&engine, &cluster([http("a"), http("b")])).await.is(Outcome::Failed);
    let failure = ran.failures()[0];
    assert_eq!((failure.component.as_ref().unwrap().as_str(), failure.exit_code), ("a", Some(1)));
    assert_eq!(failure.log, ["hello", "cannot open file"]);
    assert!(failure.hint.is_some());
    let died = engine.changes().into_iter().find(|change| change.action == "die").unwrap().at;
    assert!(engine.now() < died + secs(1), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_told_in_a_second_even_if_the_log_is_silent() {
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(5)).exiting(ms(400), 1));
    let silencer = engine.clone();
    let run = cluster([http("a")]);
    let (ran, ()) = tokio::join!(up(&engine, &run), async move {
        tokio::time::sleep(ms(500)).await;
        silencer.fall_silent(secs(60));
    });
    let died = engine.changes().into_iter().find(|change| change.action == "die").unwrap().at;
    let ran = ran.is(Outcome::Failed);
    assert!(ran.took < died + secs(1), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_job_completes_and_is_not_run_again() {
    let mut job = plain("job");
    job.completes = true;
    let engine = engine(1).behave("job", Behaviour::exits(ms(100), 0));
    let cluster = cluster([job, gated(http("web"), GateCondition::Completed, "job")]);
    up(&engine, &cluster).await.is(Outcome::Ready);
    let ran = up(&engine, &cluster).await.is(Outcome::Ready);
    assert_eq!(ran.phases("job"), [Phase::Completed]);
    assert_eq!(calls(&engine, Op::Start, "job").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_job_that_fails_fails_the_run() {
    let mut job = plain("job");
    job.completes = true;
    let engine = engine(1).behave("job", Behaviour::exits(ms(100), 2));
    let ran = up(&engine, &cluster([job, gated(http("web"), GateCondition::Completed, "job")])).await;
    let ran = ran.is(Outcome::Failed);
    assert_eq!(ran.failures()[0].exit_code, Some(2));
    assert!(calls(&engine, Op::Start, "web").is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_without_a_probe_may_end_by_itself() {
    let engine = engine(1).behave("job", Behaviour::exits(ms(100), 0));
    let ran = up(&engine, &cluster([plain("job"), http("web")])).await.is(Outcome::Ready);
    assert_eq!(ran.phases("job").last(), Some(&Phase::Completed));
}

#[tokio::test(start_paused = true)]
async fn a_server_that_exits_0_before_it_was_ready_has_failed() {
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(5)).exiting(ms(100), 0));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::Failed);
    assert_eq!(ran.failures()[0].exit_code, Some(0));
}

#[tokio::test(start_paused = true)]
async fn a_crash_loop_is_never_ready() {
    let mut looping = plain("a");
    looping.spec.restart = RestartPolicy::Always;
    let engine = engine(1).behave("a", Behaviour::exits(ms(600), 1).complains(ms(1), "no"));
    let options = Options { timeout: Some(secs(40)), ..Options::default() };
    let ran = up_with(&engine, &cluster([looping, http("b")]), options).await.is(Outcome::DeadlinePassed);
    assert!(!ran.phases("a").contains(&Phase::Ready), "{}", ran.story());
    let failure = ran.failures()[0];
    assert_eq!(failure.component.as_ref().unwrap().as_str(), "a");
    assert!(failure.what.contains("exited 1"), "{failure:?}");
    assert!(!failure.log.is_empty());
    assert!(ran.took >= secs(40) && ran.took < secs(42), "{:?}", ran.took);
}

/// Each of its runs answers well for a moment, and `late` is ready in the middle of one of them.
#[tokio::test(start_paused = true)]
async fn a_crash_loop_with_a_probe_that_passes_is_never_ready() {
    for late in (1000..3000).step_by(50) {
        let mut looping = http("a");
        looping.spec.restart = RestartPolicy::Always;
        let engine = engine(1)
            .behave("a", Behaviour::ready_after(ms(10)).exiting(ms(600), 1))
            .behave("late", Behaviour::ready_after(ms(late)));
        let options = Options { timeout: Some(secs(20)), ..Options::default() };
        let ran = up_with(&engine, &cluster([looping, http("late")]), options).await.is(Outcome::DeadlinePassed);
        assert_eq!(ran.failures()[0].component.as_ref().unwrap().as_str(), "a", "{}", ran.story());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_crashed_once_after_it_was_ready_is_believed_when_it_lasts() {
    let mut retried = http("a");
    retried.spec.restart = RestartPolicy::Always;
    let engine = engine(1)
        .behave("a", Behaviour::ready_after(ms(10)).crashes_first(1, ms(300), 4))
        .behave("late", Behaviour::ready_after(secs(1)));
    let ran = up(&engine, &cluster([retried, http("late")])).await.is(Outcome::Ready);
    assert!(ran.took < ms(2500), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_gives_up_is_a_failure() {
    let mut retried = http("a");
    retried.spec.restart = RestartPolicy::OnFailure { max_retries: 3 };
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(5)).exiting(ms(50), 4));
    let ran = up(&engine, &cluster([retried])).await.is(Outcome::Failed);
    assert_eq!(ran.failures()[0].exit_code, Some(4));
    assert!(ran.took < secs(10), "{}", ran.story());
    let restarts = ran.events.iter().filter(|e| matches!(e.kind, EventKind::Exited { restarts: true, .. })).count();
    assert!(restarts >= 1, "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn a_policy_that_helps_ends_ready() {
    let mut retried = http("a");
    retried.spec.restart = RestartPolicy::OnFailure { max_retries: 0 };
    let engine = engine(1).behave("a", Behaviour::ready_after(ms(200)).crashes_first(2, ms(50), 4));
    up(&engine, &cluster([retried])).await.is(Outcome::Ready);
    assert_eq!(calls(&engine, Op::Start, "a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn out_of_memory_is_called_so() {
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(5)).out_of_memory(ms(300)));
    let ran = up(&engine, &cluster([http("a")])).await.is(Outcome::Failed);
    assert!(ran.failures()[0].what.contains("out of memory"), "{}", ran.story());
    assert!(ran.events.iter().any(|event| matches!(event.kind, EventKind::Exited { oom: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn one_that_dies_at_the_last_moment_is_not_reported_ready() {
    for after in (0..40).map(|n| ms(950 + n * 5)) {
        // `b` becomes ready at a second or so; `a` was ready long before, and dies around then.
        let engine = engine(1).behave("a", Behaviour::exits(after, 1)).behave("b", Behaviour::ready_after(secs(1)));
        let ran = up(&engine, &cluster([http("a"), http("b")])).await;
        if ran.outcome == Outcome::Ready {
            let died = engine.changes().into_iter().find(|change| change.action == "die").map(|change| change.at);
            // A list older than the death by no more than its own way back is what no program can know.
            let told = ran.events.last().unwrap().at.0;
            assert!(died.is_none_or(|died| died + ms(60) > told), "died {died:?}, ready {told:?}\n{}", ran.story());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_optional_job_that_fails_opens_its_gate() {
    let mut job = plain("job");
    job.completes = true;
    let mut web = gated(http("web"), GateCondition::Completed, "job");
    web.gates[0].required = false;
    let engine = engine(1).behave("job", Behaviour::exits(ms(100), 2));
    let ran = up(&engine, &cluster([job, web])).await;
    assert_eq!(ran.phases("web").last(), Some(&Phase::Ready), "{}", ran.story());
    ran.is(Outcome::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_not_ready_while_it_runs() {
    let mut job = plain("job");
    job.completes = true;
    let engine = engine(1).behave("job", Behaviour::exits(secs(7), 1));
    let ran = up(&engine, &cluster([job, http("web")])).await.is(Outcome::Failed);
    assert!(!ran.phases("job").contains(&Phase::Ready), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn what_ended_by_itself_is_not_left_to_stop() {
    let engine = engine(1)
        .behave("job", Behaviour::exits(ms(300), 0))
        .behave("bad", Behaviour::never_ready(ms(10)).exiting(secs(1), 3));
    let job = Component { completes: true, ..plain("job") };
    let ran = up(&engine, &cluster([job, http("bad"), http("db")])).await.is(Outcome::Failed);
    assert_eq!(ran.running_here, [name("db")].into(), "{}", ran.story());
}

#[tokio::test(start_paused = true)]
async fn what_to_do_about_an_end_is_said() {
    let unready = || Behaviour::never_ready(ms(10));
    let ends_with = |code| unready().exiting(ms(50), code);
    let ends = [
        (ends_with(0), "completes: true"),
        (ends_with(126), "check `command` and `entrypoint`"),
        (ends_with(127), "check `command` and `entrypoint`"),
        (ends_with(137), "it was killed"),
        (ends_with(3), "`convoke logs a` shows all it said"),
        (unready().out_of_memory(ms(50)), "mem_limit"),
    ];
    for (end, wanted) in ends {
        let ran = up(&engine(1).behave("a", end), &cluster([http("a")])).await.is(Outcome::Failed);
        let hint = ran.failures()[0].hint.clone().unwrap_or_default();
        assert!(hint.contains(wanted), "{hint:?} has no {wanted:?}\n{}", ran.story());
    }
}

/// What ends with the engine is no failure of its own; but not for ever.
#[tokio::test(start_paused = true)]
async fn one_that_ends_with_the_engine_is_started_five_times_after_ever_longer_pauses() {
    let engine = engine(1).behave("a", Behaviour::never_ready(ms(10)));
    let (world, cluster) = (engine.clone(), cluster([http("a")]));
    let outages = async {
        loop {
            tokio::time::sleep(secs(30)).await;
            world.restart(ms(500));
        }
    };
    let options = Options { timeout: Some(secs(900)), ..Options::default() };
    let ran = tokio::select! {
        ran = up_with(&engine, &cluster, options) => ran.is(Outcome::Failed),
        () = outages => unreachable!("it goes on for ever"),
    };
    let starts = calls(&engine, Op::Start, "a");
    assert_eq!(starts.len(), 6, "{}", ran.story());
    let restarting = ran.transitions().into_iter().filter(|(_, _, to)| *to == Phase::Restarting).count();
    assert_eq!(restarting, 5, "{}", ran.story());
    assert!(ran.failures()[0].what.contains("exited"), "{}", ran.story());
}
