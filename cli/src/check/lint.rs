//! What `check` knows to look for. Each has a name, says why it matters, and what to do.

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Severity {
    /// It lets somebody in, or keeps everybody out, in some event. It works today.
    Warning,
    /// It is refused by the filter or by the host, or nobody can read it.
    Error,
}

/// One thing that is looked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Lint {
    /// In brackets behind the severity.
    pub(crate) name: &'static str,
    /// How bad it is.
    pub(crate) severity: Severity,
    /// Why it matters.
    pub(crate) why: &'static str,
    /// What to do.
    pub(crate) help: &'static str,
}

macro_rules! lints {
    ($($(#[doc = $doc:literal])+ $constant:ident $severity:ident $name:literal { why: $why:expr, help: $help:expr } )+) => {
        $($(#[doc = $doc])+ pub(crate) const $constant: Lint = Lint {
            name: $name, severity: Severity::$severity, why: $why, help: $help,
        };)+

        /// All of them.
        #[cfg(test)]
        const ALL: &[Lint] = &[$($constant),+];
    };
}

lints! {
    /// A file that is neither YAML nor JSON.
    SYNTAX Error "syntax" {
        why: "the host cannot read this file",
        help: "correct the file; it must be UTF-8, and YAML or JSON"
    }

    /// One name twice in one map.
    DUPLICATE_NAME Error "duplicate-name" {
        why: "programs disagree about which of the two counts",
        help: "remove one of them"
    }

    /// What the filter refuses.
    CONFIGURATION Error "configuration" {
        why: "the filter refuses this configuration; where no earlier one goes on, the host answers with errors",
        help: "the reference of all fields is docs/configuration.md"
    }

    /// No configuration in any of the files.
    NOTHING_FOUND Error "nothing-found" {
        why: "none of the files holds a configuration of the filter, so nothing was checked",
        help: "name the file that has it: a plugin configuration, an Envoy bootstrap, a WasmPlugin, a \
            TrafficExtension, an EnvoyExtensionPolicy, or routes of APISIX"
    }

    /// A filter of ours without a configuration.
    NO_CONFIGURATION Error "no-configuration" {
        why: "the filter refuses to start without one",
        help: "say at least who decides: `authgear`, `forward_auth` or `jwt`"
    }

    /// APISIX drops the route.
    EMPTY_CONF Error "empty-conf" {
        why: "APISIX drops a route whose `conf` is missing, empty, `{}`, null or a number, and serves its requests by \
            the next route that matches, without the filter",
        help: "put the configuration here, as JSON in a string"
    }

    /// The module is not loaded.
    PLUGIN_NOT_LISTED Error "plugin-not-listed" {
        why: "APISIX drops a route that names a plugin which `wasm.plugins` of config.yaml does not list, and serves \
            its requests by the next route that matches, without the filter",
        help: "add the plugin under this name to `wasm.plugins`, as in deploy/apisix/config.yaml"
    }

    /// What keeps no one out.
    FAIL_OPEN Warning "fail-open" {
        why: "while the module cannot be loaded or has crashed, every request passes unauthenticated",
        help: "fail closed: leave it out, or use FAIL_RELOAD where the host has it"
    }

    /// No restart after a crash.
    NO_RELOAD Warning "no-reload" {
        why: "a worker whose module has crashed answers 503 until Envoy is restarted",
        help: "set `failure_policy: FAIL_RELOAD`, which starts a fresh one"
    }

    /// Our own `on_error`.
    ON_ERROR_ALLOW Warning "on-error-allow" {
        why: "while the auth server cannot answer, every request passes without an identity, also where `access` is \
            `required`",
        help: "leave `on_error.action` out, which denies; or make sure that the app refuses requests of nobody"
    }

    /// The upstream is not among the clusters.
    UNKNOWN_CLUSTER Warning "unknown-cluster" {
        why: "a call to a cluster that does not exist fails, and `on_error` applies to every request that needs one",
        help: "add the cluster, or name one that exists"
    }

    /// No TLS where the URL says https.
    NO_TLS Warning "no-tls" {
        why: "tokens and cookies leave in the clear, and anyone on the way can say who the user is",
        help: "give the cluster a `transport_socket` with an UpstreamTlsContext, as in docs/envoy.md"
    }

    /// TLS without a trusted CA.
    NO_TLS_CA Warning "no-tls-ca" {
        why: "without it a certificate that anybody signed is accepted, and anyone on the way can say who the user is",
        help: "set who may have signed: `trusted_ca` in Envoy, `caCertificates` in Istio, \
            `apisix.ssl.ssl_trusted_certificate` in APISIX"
    }

    /// TLS without a check of the name.
    NO_TLS_NAME Warning "no-tls-name" {
        why: "the certificate of any other name is accepted, and its owner can say who the user is",
        help: "set `auto_sni_san_validation: true` or `match_typed_subject_alt_names` in Envoy, `subjectAltNames` in \
            Istio"
    }

    /// TLS without SNI.
    NO_SNI Warning "no-sni" {
        why: "a server with several certificates does not know which one to show",
        help: "set `sni` to the host name of the server"
    }

    /// The client's own word about its address.
    USE_REMOTE_ADDRESS Warning "use-remote-address" {
        why: "a client chooses its own address in X-Forwarded-For, and whether it came by https in \
            X-Forwarded-Proto; the filter takes both from Envoy",
        help: "set `use_remote_address: true`, and `xff_num_trusted_hops` behind another proxy"
    }

    /// Pause that does not.
    STOP_ITERATION Warning "allow-on-headers-stop-iteration" {
        why: "with this option Envoy lets a body pass a filter that only pauses the headers; this filter holds both \
            back, with the option and without it, but no filter of yours needs it here",
        help: "leave it out"
    }

    /// Routes without the filter.
    FILTER_DISABLED Warning "filter-disabled" {
        why: "nothing is authenticated here, and the filter removes no identity header that a client forged",
        help: "make sure that this leads to no app that reads identity headers; otherwise remove it, and say \
            `access: public` in `rules`"
    }

    /// Something is asked before.
    FILTER_BEFORE Warning "filter-before" {
        why: "it decides before the filter has removed forged identity headers, and never sees the true ones",
        help: "put the filter before it"
    }

    /// The end of the chain comes first.
    ROUTER_BEFORE Warning "router-before" {
        why: "the router ends the chain: what stands behind it never runs, and Envoy refuses such a listener",
        help: "put the filter before the router"
    }

    /// No second guard.
    NO_EARLY_REMOVAL Warning "no-early-removal" {
        why: "where the filter is not there yet, failed open, or is switched off, a client's forged identity headers \
            reach the app",
        help: "have the host remove the names before any filter runs: `early_header_mutation_extensions` in Envoy \
            (docs/envoy.md), deploy/istio/early-removal.yaml in Istio, deploy/envoy-gateway/guards.yaml in Envoy \
            Gateway; check those files together with this one"
    }

    /// A digest in the wrong form.
    SHA256_PREFIX Warning "sha256-prefix" {
        why: "the host compares it with the bare digest, never finds them equal, and shuts everybody out",
        help: "leave out `sha256:`"
    }

    /// A port that nobody listens on.
    MATCH_PORTS Warning "match-ports" {
        why: "these are ports of the container; with the port of a Service Istio leaves the filter out, silently",
        help: "leave `ports` out, or make sure that the gateway's container listens on them"
    }

    /// Not before Istio's own checks.
    PHASE Warning "phase" {
        why: "Istio's own authentication and authorization run before the filter, and see forged identity headers",
        help: "set `phase: AUTHN`"
    }

    /// A policy that stands before every phase.
    CUSTOM_POLICY Warning "custom-policy" {
        why: "an AuthorizationPolicy of action CUSTOM stands before every phase: its server sees a client's forged \
            identity headers, and never the true ones",
        help: "apply deploy/istio/early-removal.yaml, and let that server trust no identity header"
    }

    /// Two of us.
    RUNS_TWICE Warning "runs-twice" {
        why: "with a TrafficExtension beside a WasmPlugin for the same workload the filter runs twice",
        help: "apply one of them"
    }

    /// A policy that replaces another.
    MERGE_TYPE Warning "merge-type" {
        why: "a policy for a route replaces the one for its Gateway there, and a route whose own configuration is \
            refused has no filter at all, while its status says `Accepted: True`",
        help: "use one policy for the Gateway with `rules[].hosts`, or set `mergeType` (Envoy Gateway 1.9)"
    }

    /// A filter that routes can switch off.
    NOT_ALWAYS_ON Warning "not-always-on" {
        why: "Envoy Gateway switches the filter on route by route, and updates routes apart from listeners: during \
            some changes requests pass it",
        help: "apply the EnvoyPatchPolicy of deploy/envoy-gateway/guards.yaml, and check it together with this file"
    }

    /// Something that Envoy Gateway asks before.
    POLICY_BEFORE Warning "policy-before" {
        why: "it is asked before the filter has removed forged identity headers",
        help: "apply deploy/envoy-gateway/guards.yaml, and let that server trust no identity header"
    }

    /// Into APISIX past us.
    ROUTE_WITHOUT_PLUGIN Warning "route-without-plugin" {
        why: "nothing is authenticated here, and no forged identity header is removed. A route with the filter that \
            APISIX drops falls through to the next one that matches: this one, if its URIs do",
        help: "give the route the plugin, with `access: public` in `rules` where nobody needs to log in; or make \
            sure that it leads to no app that reads identity headers"
    }

    /// APISIX without roots.
    TRUSTED_CERTIFICATE Warning "trusted-certificate" {
        why: "without `apisix.ssl.ssl_trusted_certificate` every call over TLS fails, and requests that need one get \
            503",
        help: "set it as in deploy/apisix/config.yaml"
    }

    /// Where APISIX runs it.
    REQUEST_PHASE Warning "request-phase" {
        why: "the filter was tried in the phase `access` only; in `rewrite` it runs in another order among the plugins",
        help: "set `http_request_phase: access`"
    }

    /// The quarantine is too short.
    KEEPALIVE Warning "keepalive-timeout" {
        why: "after a 1xx answer the filter leaves an upstream alone for 65 s, until APISIX has closed the \
            connection; connections that are kept longer can give one user's answer to another",
        help: "set `lua_socket_keepalive_timeout` to 60s or less"
    }

    /// APISIX has no clusters.
    UPSTREAM_FORM Warning "upstream-form" {
        why: "on APISIX a call goes to a host and a port; there are no clusters",
        help: "write `host:port`"
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{ALL, Severity};

    #[test]
    fn each_has_a_case_and_a_row_in_the_document() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let document = fs::read_to_string(root.join("../docs/cli.md")).unwrap();
        let cases: String = fs::read_dir(root.join("tests/check"))
            .unwrap()
            .map(|case| fs::read_to_string(case.unwrap().path().join("expected.txt")).unwrap())
            .collect();
        for lint in ALL {
            let severity = match lint.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            };
            assert!(cases.contains(&format!("{severity}[{}]: ", lint.name)), "no case shows `{}`", lint.name);
            assert!(
                document.contains(&format!("| `{}` | {severity} |", lint.name)),
                "`{}` has no row",
                lint.name
            );
        }
        let rows =
            document.lines().filter(|line| line.contains("` | warning |") || line.contains("` | error |"));
        assert_eq!(rows.count(), ALL.len(), "each row is of one that exists");
    }
}
