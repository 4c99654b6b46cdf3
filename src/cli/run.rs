//! From arguments to an exit code.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use super::args::{Cli, Command, OutputFormat};
use super::error::{BAD_INPUT, FAILED, INTERRUPTED};
use super::interrupt::Interrupts;
use super::session::Session;
use super::{
    CliError, chaos, config, copy, doctor, down, ephemeral, exec, flags, foreign_flags, gc, lists, logs, manual, neon,
    obtain, one_off, port, ps, remove, render, report, restart, signals, supervise, templates, up, watch,
};
use crate::report::Printer;

/// Runs the program: parses the arguments, does what they say, returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse_from(flags::with_ports(std::env::args_os().collect(), &Cli::command())) {
        Ok(cli) => cli,
        Err(error) => {
            let args: Vec<String> = std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect();
            if let Some(text) = foreign_flags::explain(&error, &args) {
                Printer::system(false).problem(text);
                return ExitCode::from(BAD_INPUT);
            }
            // Help and version go to standard output with 0, errors to standard error with 2: clap's own rule.
            _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let printer = Printer::system(cli.global.quiet);
    trace_to(&printer);
    let _watching = if let Command::WatchOwner(args) = &cli.command {
        match ephemeral::sleep_until_gone(args, cli.global.project.as_deref()) {
            Ok(guard) => Some(guard),
            Err(why) => {
                printer.problem(format_args!("error: can't watch: {why}"));
                return ExitCode::from(FAILED);
            }
        }
    } else {
        None
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            printer.problem(format_args!("error: failed to start: {error}"));
            return ExitCode::from(1);
        }
    };
    let code = runtime.block_on(async {
        let interrupts = Interrupts::listen();
        tokio::select! {
            biased;
            // A second Ctrl-C: at once.
            () = interrupts.are_too_many() => INTERRUPTED,
            code = dispatch(cli, &printer, &interrupts) => code,
        }
    });
    // Whatever still runs, such as an exec that can't be taken back, isn't waited for; but tasks are given up properly,
    // so that a program that one of them runs is ended.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    ExitCode::from(code)
}

fn trace_to(printer: &Printer) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("off"));
    // bollard writes whole request bodies, environments and secrets included, at `debug`: never shown.
    let filter = match "bollard=warn".parse() {
        Ok(quiet) => filter.add_directive(quiet),
        Err(_) => filter,
    };
    let printer = printer.clone();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(move || printer.log_writer()).init();
}

async fn dispatch(cli: Cli, printer: &Printer, interrupts: &Interrupts) -> u8 {
    let session =
        Session { printer: printer.clone(), interrupts: interrupts.clone(), global: cli.global, files: cli.file };
    if session.global.format == Some(OutputFormat::Yaml) && !matches!(cli.command, Command::Config(_)) {
        let error = CliError::input("only config prints YAML").hint("--format plain, tty or json");
        error.print(printer);
        return error.code;
    }
    let result = match cli.command {
        Command::Up(args) => up::run(&session, args).await,
        Command::Create(args) => up::create(&session, *args).await,
        Command::Scale(args) => up::scale(&session, *args).await,
        Command::Pull(args) => obtain::pull(&session, args).await,
        Command::Build(args) => obtain::build(&session, args).await,
        Command::Down(args) => down::down(&session, args).await,
        Command::Stop(args) => down::stop(&session, args).await,
        Command::Supervise(args) => supervise::run(&session, args).await,
        Command::Start(args) => restart::start(&session, args).await,
        Command::Restart(args) => restart::restart(&session, args).await,
        Command::Kill(args) => signals::kill(&session, args).await,
        Command::Pause(args) => signals::pause(&session, args).await,
        Command::Unpause(args) => signals::unpause(&session, args).await,
        Command::Rm(args) => remove::run(&session, args).await,
        Command::Ps(args) => ps::run(&session, args).await,
        Command::Top(args) => lists::top(&session, args).await,
        Command::Images(args) => lists::images(&session, args).await,
        Command::Volumes(args) => lists::volumes(&session, args).await,
        Command::Ls(args) => lists::clusters(&session, args).await,
        Command::Wait(args) => watch::wait(&session, args).await,
        Command::Events(args) => watch::events(&session, args).await,
        Command::Logs(args) => logs::run(&session, args).await,
        Command::Run(args) => one_off::run(&session, *args).await,
        Command::Exec(args) => exec::run(&session, args).await,
        Command::Cp(args) => copy::run(&session, args).await,
        Command::Port(args) => port::run(&session, args).await,
        Command::Config(args) => config::run(&session, args).await,
        Command::Templates => templates::run(&session),
        Command::Render(args) => render::run(&session, &args),
        Command::Report(args) => report::run(&session, &args),
        Command::Chaos(args) => chaos::run(&session, args).await,
        Command::Gc(args) => gc::run(&session, args).await,
        Command::WatchOwner(args) => ephemeral::clean_up(&session, args).await,
        Command::Neon(args) => neon::run(&session, args).await,
        Command::Doctor => doctor::run(&session).await,
        Command::Completions { shell } => Ok(manual::completions(&session, shell)),
        Command::Man { folder } => manual::pages(&session, folder.as_deref()),
    };
    result.unwrap_or_else(|error: CliError| {
        error.print(printer);
        error.code
    })
}
