// Package referee says what a client of the mesh really saw. It is pure: records in, numbers out, no clock, no network.
//
// Every end-to-end test of the product is judged here, so the rules are few and written down:
//
//   - One request is one [Record]. It belongs to the moment it was really sent ([Record.Start]), never to the moment the
//     schedule wanted it ([Record.Due]) nor to the moment it ended.
//   - An [Interval] is half open: From is in it, Until is not. A zero end is no limit.
//   - The [Cohort] of a request is the last three hex digits of its x-request-id read backwards: the id "…abc" is 0xcba.
//     This is a second, independent statement of the product's rule, on purpose.
//   - A [Window] is a run of cohorts on a ring of 4096. A request of unknown cohort is in no half and is counted apart.
//   - An [Outcome] is the HTTP status that came, for a gRPC call its own status, or the class of error when none came
//     or the body was cut short.
//   - A request that the generator itself cut off ([Stopped]) is not harm.
package referee
