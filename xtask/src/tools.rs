//! Programs from Debian that some tests and benches need.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use crate::process::{run, works};

/// A program that some tests or benches need.
pub(crate) struct Tool {
    /// What they call it.
    pub(crate) name: &'static str,
    /// Names of the program itself, any of which will do.
    programs: &'static [&'static str],
    /// Debian's package.
    package: &'static str,
    /// Where they look for its path.
    pub(crate) variable: &'static str,
}

/// All that tests need.
pub(crate) const TOOLS: [Tool; 6] = [
    Tool {
        name: "chromium",
        programs: &["chromium"],
        package: "chromium",
        variable: "ROUNDSMAN_TEST_CHROMIUM",
    },
    Tool {
        name: "promtool",
        programs: &["promtool"],
        package: "prometheus",
        variable: "ROUNDSMAN_TEST_PROMTOOL",
    },
    Tool {
        name: "haproxy",
        programs: &["haproxy"],
        package: "haproxy",
        variable: "ROUNDSMAN_TEST_HAPROXY",
    },
    Tool {
        name: "java",
        programs: &["java"],
        package: "openjdk-17-jre-headless",
        variable: "ROUNDSMAN_TEST_JAVA",
    },
    Tool {
        name: "ip",
        programs: &["ip"],
        package: "iproute2",
        variable: "ROUNDSMAN_TEST_IP",
    },
    Tool {
        name: "nft",
        programs: &["nft"],
        package: "nftables",
        variable: "ROUNDSMAN_TEST_NFT",
    },
];

/// What only benches need; a bench goes on without.
pub(crate) const BENCH_TOOLS: [Tool; 1] = [Tool {
    name: "serf",
    programs: &["serf"],
    package: "serf",
    variable: "ROUNDSMAN_BENCH_SERF",
}];

impl Tool {
    /// Where the program lies, if it is there.
    pub(crate) fn path(&self) -> Option<PathBuf> {
        let path = env::var_os("PATH").unwrap_or_default();
        let sbin = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        env::split_paths(&path)
            .chain(sbin)
            .flat_map(|folder| self.programs.iter().map(move |name| folder.join(name)))
            .find(|candidate| candidate.is_file())
    }
}

/// Installs what is missing if we may; whatever is then still missing is named by the caller.
pub(crate) fn install(tools: &[Tool]) {
    let missing: Vec<&str> = tools
        .iter()
        .filter(|tool| tool.path().is_none())
        .map(|tool| tool.package)
        .collect();
    if missing.is_empty() {
        return;
    }
    let packages = missing.join(" ");
    if !works(Command::new("apt-get").arg("--version")) {
        eprintln!("missing, and there is no apt-get to install it: {packages}");
        return;
    }
    if !is_root() {
        eprintln!("missing, and only root may install: apt-get install {packages}");
        return;
    }
    let installed = run(&mut apt(&["update", "-qq"])).and_then(|()| {
        run(apt(&["install", "-y", "-qq", "--no-install-recommends"]).args(&missing))
    });
    if let Err(error) = installed {
        eprintln!("could not install {packages}: {error:#}");
    }
}

fn apt(arguments: &[&str]) -> Command {
    let mut command = Command::new("apt-get");
    command
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive");
    command
}

fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
