// Package xds decides, from what istiod and Envoy say, which proxies hold a change. It is pure: readings and the time
// go in, proxies to read next and a verdict come out. docs/design/barrier.md says why each rule is sound.
//
// Three facts carry it (sources: istio.io/istio pilot/pkg/xds):
//
//   - istiod makes every configuration from an immutable push context; the version of the context begins the nonce of
//     every response made from it, and grows with every context of one istiod process.
//   - A proxy whose own Envoy shows the change (a witness) got it from some context that has the change in it. What
//     istiod sent it last is at least as new. So every context from there on has the change in it.
//   - istiod pushes a context to every proxy that the change concerns before it answers that proxy anything newer. So
//     a proxy that acknowledged a version from there on holds the change, if it is concerned at all.
package xds
