//! Owns the picture of the demo: who talks to whom. Once for wide screens, once for narrow ones; the style sheet shows
//! one of them.

use super::Markup;

/// The picture, and its four steps in words.
pub(crate) fn picture() -> Markup {
    Markup(format!(
        r#"<figure class="picture">
{WIDE}
{TALL}
<figcaption>
<ol class="steps">
<li>Your browser asks for a page of the app, with its cookie or token, and perhaps with headers that somebody forged.</li>
<li>The filter, inside Envoy, finds out whose session it is. It asks Authgear, remembers what Authgear said a moment
ago, or verifies a token by itself.</li>
<li>The app gets the request with the true identity headers only. It needs no login code of its own.</li>
<li>Who may not pass is turned away or sent to log in, and the app never sees that request.</li>
</ol>
</figcaption>
</figure>"#
    ))
}

const WIDE: &str = r#"<svg class="wide" viewBox="0 0 760 292" role="img" aria-labelledby="wide-title">
<title id="wide-title">The browser asks Envoy. The filter in Envoy asks Authgear beside it. The app is behind Envoy.</title>
<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker></defs>
<rect class="box" x="1" y="31" width="150" height="84" rx="10"/>
<text x="76" y="70">Your browser</text><text class="small" x="76" y="91">cookie or token</text>
<rect class="box" x="269" y="1" width="222" height="146" rx="10"/>
<text x="380" y="25">Envoy</text>
<rect class="filter" x="289" y="37" width="182" height="92" rx="8"/>
<text class="strong" x="380" y="77">authgear-filter</text><text class="small" x="380" y="99">who is this?</text>
<rect class="box" x="609" y="31" width="150" height="84" rx="10"/>
<text x="684" y="70">The app</text><text class="small" x="684" y="91">shows what it gets</text>
<rect class="box" x="269" y="217" width="222" height="74" rx="10"/>
<text x="380" y="249">Authgear</text><text class="small" x="380" y="271">a stand-in, in this demo</text>
<path class="line" d="M151 62H286" marker-end="url(#tip)"/><path class="line dashed" d="M289 96H154" marker-end="url(#tip)"/>
<path class="line" d="M471 73H606" marker-end="url(#tip)"/>
<path class="line" d="M380 132V214" marker-start="url(#tip)" marker-end="url(#tip)"/>
<g class="step"><circle cx="212" cy="62" r="12"/><text x="212" y="67">1</text></g>
<g class="step"><circle cx="380" cy="172" r="12"/><text x="380" y="177">2</text></g>
<g class="step"><circle cx="540" cy="73" r="12"/><text x="540" y="78">3</text></g>
<g class="step"><circle cx="228" cy="96" r="12"/><text x="228" y="101">4</text></g>
</svg>"#;

const TALL: &str = r#"<svg class="tall" viewBox="0 0 340 410" role="img" aria-labelledby="tall-title">
<title id="tall-title">The browser asks Envoy. The filter in Envoy asks Authgear beside it. The app is behind Envoy.</title>
<defs><marker id="tip-tall" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 10 5 0 10z"/></marker></defs>
<rect class="box" x="1" y="1" width="182" height="66" rx="10"/>
<text x="92" y="31">Your browser</text><text class="small" x="92" y="51">cookie or token</text>
<rect class="box" x="1" y="129" width="182" height="150" rx="10"/>
<text x="151" y="154">Envoy</text>
<rect class="filter" x="17" y="167" width="150" height="94" rx="8"/>
<text class="strong" x="92" y="209">authgear-filter</text><text class="small" x="92" y="231">who is this?</text>
<rect class="box" x="1" y="343" width="182" height="66" rx="10"/>
<text x="92" y="373">The app</text><text class="small" x="92" y="393">shows what it gets</text>
<rect class="box" x="239" y="167" width="100" height="94" rx="10"/>
<text x="289" y="209">Authgear</text><text class="small" x="289" y="231">a stand-in</text>
<path class="line" d="M66 67V164" marker-end="url(#tip-tall)"/><path class="line dashed" d="M118 167V70" marker-end="url(#tip-tall)"/>
<path class="line" d="M92 261V340" marker-end="url(#tip-tall)"/>
<path class="line" d="M170 214H236" marker-start="url(#tip-tall)" marker-end="url(#tip-tall)"/>
<g class="step"><circle cx="66" cy="98" r="12"/><text x="66" y="103">1</text></g>
<g class="step"><circle cx="203" cy="214" r="12"/><text x="203" y="219">2</text></g>
<g class="step"><circle cx="92" cy="310" r="12"/><text x="92" y="315">3</text></g>
<g class="step"><circle cx="118" cy="98" r="12"/><text x="118" y="103">4</text></g>
</svg>"#;
