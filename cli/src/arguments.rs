//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};

/// See whether the filter takes a configuration, and what it makes of a request.
#[derive(Debug, Parser)]
#[command(name = "authgear-filter", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,

    /// When to use colours; `auto` is on a terminal, and never where NO_COLOR is set
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub(crate) color: Color,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  nothing is wrong
  1  something is wrong: a refused configuration, or a warning with --deny-warnings
  2  the command line is wrong, or a file cannot be opened";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Check(Check),
    Explain(Explain),
    /// Print the JSON Schema of the configuration, for editors
    Schema {
        /// The schema of files that hold configurations: manifests, routes of APISIX, Envoy's own
        #[arg(long)]
        manifests: bool,
    },
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print a manual page, in roff
    Man {
        /// The page of this command; else of all
        command: Option<String>,
    },
}

/// Check configurations, and what stands around them
///
/// A FILE is a plugin configuration, or anything that holds one: an Envoy bootstrap, manifests of Istio or Envoy
/// Gateway, config.yaml, apisix.yaml or a route of APISIX. YAML or JSON. Name all files that are applied together:
/// clusters, policies and guards are looked for in all of them.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Check {
    /// Files that belong together; - is standard input
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,

    /// Exit with 1 where there are warnings too
    #[arg(long)]
    pub(crate) deny_warnings: bool,
}

/// Explain what the filter makes of a request
///
/// Which rules apply to each way in which programs may read the path, what the auth server would be asked, and what the
/// app or the client would get. The filter's own engine decides; nothing is sent anywhere. Credentials are never
/// printed.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Explain {
    /// A file with a configuration; - is standard input
    #[arg(value_name = "FILE")]
    pub(crate) file: String,

    /// The URL as the client sees it; its path is taken as it is written
    #[arg(long)]
    pub(crate) url: String,

    /// The method
    #[arg(long, default_value = "GET")]
    pub(crate) method: String,

    /// A header of the client, `Name: value`; may be repeated
    #[arg(long = "header", value_name = "HEADER")]
    pub(crate) headers: Vec<String>,

    /// The client's address
    #[arg(long, value_name = "IP")]
    pub(crate) client_address: Option<std::net::IpAddr>,

    /// A token, put where the configuration looks for one. Others on this machine can see a command line: prefer
    /// --token-file, or the environment
    #[arg(long, env = "AUTHGEAR_FILTER_TOKEN", hide_env_values = true, conflicts_with = "token_file")]
    pub(crate) token: Option<String>,

    /// A file that holds the token; - is standard input
    #[arg(long, value_name = "PATH")]
    pub(crate) token_file: Option<String>,

    /// The key set that the filter would fetch, as the issuer publishes it
    #[arg(long, value_name = "PATH")]
    pub(crate) jwks: Option<String>,

    /// The time, in seconds since 1970; else now
    #[arg(long, value_name = "SECONDS")]
    pub(crate) now: Option<u64>,

    /// The line at which the configuration begins, where FILE has several
    #[arg(long)]
    pub(crate) line: Option<usize>,

    /// Print one JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    #[default]
    Auto,
    Always,
    Never,
}

impl Color {
    /// The same for the output's stream.
    pub(crate) const fn choice(self) -> anstream::ColorChoice {
        match self {
            Self::Auto => anstream::ColorChoice::Auto,
            Self::Always => anstream::ColorChoice::Always,
            Self::Never => anstream::ColorChoice::Never,
        }
    }
}
