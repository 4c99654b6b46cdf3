//! What every engine must do, asked of the fake one and of a real one with the same questions.
//!
//! Each case is generic over [`convoke::engine::Engine`]; the suite below turns all of them into tests of one engine.
//! The containers run `convoke-test/probe-target` (images/probe-target), whose arguments say what it does.

#![expect(clippy::unwrap_used, reason = "a test suite: what fails must panic, and its helpers are no test functions")]

mod cases;
mod context;
mod docker;
mod fake;

/// Makes a test of every case, with contexts made by `$setup` and these attributes of `tokio::test`.
macro_rules! suite {
    ($setup:path, $($attribute:tt)*) => {
        suite! { @list $setup, [$($attribute)*],
            containers: [
                created_then_started, starting_twice_is_fine, stopping_what_is_stopped_is_fine,
                removing_what_is_gone_is_fine, a_running_one_can_be_removed, a_taken_name_is_refused,
                a_missing_image_is_told, a_missing_command_is_told_at_the_start, an_exit_is_recorded,
                each_run_has_its_own_start, one_that_ignores_sigterm_is_killed, a_rename_holds,
                a_signal_needs_a_running_one, a_frozen_one_goes_on, a_frozen_one_can_be_killed_stopped_and_removed, a_dropped_start_is_no_obstacle_to_the_next,
                labels_and_image_are_seen, an_image_is_found_or_not, the_engine_introduces_itself,
            ],
            restarts: [
                a_policy_restarts_and_counts, retries_end, a_kill_is_no_reason_to_restart, a_stop_ends_the_restarts,
                a_crash_is_answered_by_the_policy, a_crash_without_a_policy_is_an_end, what_does_not_run_can_not_crash,
            ],
            networks: [
                a_second_one_of_a_name_is_made_or_refused, overlaps_are_refused, one_in_use_stays,
                a_fixed_address_holds, a_taken_address_is_told_at_the_start, dynamic_addresses_keep_to_their_range,
                several_at_once, a_missing_one_is_told, hosts_entries_are_kept, a_taken_port_is_told_at_the_start, a_port_is_chosen,
                one_that_was_taken_off_is_put_back, a_taken_address_is_told_when_it_is_put_back, one_off_its_network_may_not_start,
            ],
            volumes: [
                a_volume_is_made_once, one_in_use_stays, one_that_was_removed_meanwhile_is_ours_again, anonymous_ones_go_when_asked, anonymous_ones_stay_otherwise,
                carried_ones_go_with_their_new_container, those_of_an_image_are_anonymous,
               a_mount_covers_that_of_an_image,
            ],
            watching: [
                a_subscription_is_confirmed_first, only_the_cluster_s_own_events_come, a_container_s_life_is_told,
                a_cluster_is_observed, others_are_observed, whatever_a_cluster_has_names_it, the_engine_checks_health, an_image_s_health_check_counts, health_checks_can_be_turned_off,
            ],
            inside: [
                logs_have_a_tail, logs_have_a_beginning, logs_can_be_followed, a_missing_log_is_an_error,
                a_command_has_an_exit_code, a_missing_program_is_126_or_127, nothing_runs_in_a_stopped_one,
            ],
        }
    };
    (@list $setup:path, $attribute:tt, $($module:ident: [$($case:ident),* $(,)?]),* $(,)?) => {
        $(mod $module { $(suite! { @case $setup, $attribute, $module, $case })* })*
    };
    (@case $setup:path, [$($attribute:tt)*], $module:ident, $case:ident) => {
        #[tokio::test($($attribute)*)]
        async fn $case() {
            if let Some(cx) = $setup(stringify!($case)).await {
                crate::context::run(cx, crate::cases::$module::$case).await;
            }
        }
    };
}

mod on_fake {
    suite!(crate::fake::context, start_paused = true);
}

mod on_docker {
    suite!(crate::docker::context, flavor = "current_thread");
}
