package app

import (
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc/codes"

	"github.com/meshpol/meshpol/lab/internal/shop/jsonhttp"
)

// Rule says how the server treats the requests to some paths. The zero rule answers at once.
//
// One draw decides each request: with HangRatio it hangs, with ResetRatio its connection is reset, with FailRatio it
// fails, with SlowRatio it is slow, else it is answered. So the ratios must not sum to more than 1.
type Rule struct {
	// Path is the prefix of the paths; the rule with the longest prefix wins.
	Path string `json:"path"`
	// Delay and a random part of Jitter come before every answer, failures included.
	Delay  jsonhttp.Duration `json:"delay,omitempty"`
	Jitter jsonhttp.Duration `json:"jitter,omitempty"`
	// FailRatio of the requests is answered with FailCode (503 when it is 0).
	FailRatio float64 `json:"failRatio,omitempty"`
	FailCode  int     `json:"failCode,omitempty"`
	// FailStatus is what a gRPC call fails with, a status of gRPC other than OK (UNAVAILABLE when it is 0).
	FailStatus int `json:"failStatus,omitempty"`
	// FailAttempts limits failures to the first attempts of a request, as the proxy counts them; 0 is no limit. With 1
	// and a FailRatio of 1 every retry succeeds.
	FailAttempts int `json:"failAttempts,omitempty"`
	// SlowRatio of the requests waits SlowDelay more.
	SlowRatio float64           `json:"slowRatio,omitempty"`
	SlowDelay jsonhttp.Duration `json:"slowDelay,omitempty"`
	// HangRatio of the requests is never answered: the client has to give up.
	HangRatio float64 `json:"hangRatio,omitempty"`
	// ResetRatio of the requests finds its connection reset.
	ResetRatio float64 `json:"resetRatio,omitempty"`
	// MaxInFlight is how many requests are treated at once; more are answered 503 at once. 0 is no limit.
	MaxInFlight int `json:"maxInFlight,omitempty"`
}

// maxDelay bounds every wait of a rule.
const maxDelay = 10 * time.Minute

// ParseRules reads a JSON array of rules. An error names the field and what is allowed.
func ParseRules(data []byte) ([]Rule, error) {
	rules, err := jsonhttp.List[Rule](data)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	for i, rule := range rules {
		place := fmt.Sprintf("[%d]", i)
		if err := rule.validate(place + "."); err != nil {
			return nil, err
		}
		if seen[rule.Path] {
			return nil, jsonhttp.Refuse(place+".path", rule.Path, "each path once")
		}
		seen[rule.Path] = true
	}
	return rules, nil
}

func (r Rule) validate(place string) error {
	if !strings.HasPrefix(r.Path, "/") {
		return jsonhttp.Refuse(place+"path", r.Path, "a prefix that starts with /")
	}
	if err := r.validateWaits(place); err != nil {
		return err
	}
	if err := r.validateRatios(place); err != nil {
		return err
	}
	if r.FailCode != 0 && (r.FailCode < 400 || r.FailCode > 599) {
		return jsonhttp.Refuse(place+"failCode", r.FailCode, "400 to 599")
	}
	if r.FailStatus < 0 || r.FailStatus > int(codes.Unauthenticated) {
		return jsonhttp.Refuse(place+"failStatus", r.FailStatus, "1 to 16, a status of gRPC")
	}
	if r.FailAttempts < 0 {
		return jsonhttp.Refuse(place+"failAttempts", r.FailAttempts, "0 (no limit) or more")
	}
	if r.MaxInFlight < 0 {
		return jsonhttp.Refuse(place+"maxInFlight", r.MaxInFlight, "0 (no limit) or more")
	}
	return nil
}

func (r Rule) validateWaits(place string) error {
	for _, wait := range []struct {
		name  string
		value jsonhttp.Duration
	}{{"delay", r.Delay}, {"jitter", r.Jitter}, {"slowDelay", r.SlowDelay}} {
		if wait.value < 0 || time.Duration(wait.value) > maxDelay {
			return jsonhttp.Refuse(place+wait.name, time.Duration(wait.value), "0s to "+maxDelay.String())
		}
	}
	if (r.SlowRatio > 0) != (r.SlowDelay > 0) {
		return jsonhttp.Refuse(place+"slowDelay", time.Duration(r.SlowDelay), "more than 0s if, and only if, slowRatio is")
	}
	return nil
}

func (r Rule) validateRatios(place string) error {
	sum := 0.0
	for _, ratio := range []struct {
		name  string
		value float64
	}{{"failRatio", r.FailRatio}, {"slowRatio", r.SlowRatio}, {"hangRatio", r.HangRatio}, {"resetRatio", r.ResetRatio}} {
		if ratio.value < 0 || ratio.value > 1 {
			return jsonhttp.Refuse(place+ratio.name, ratio.value, "0 to 1")
		}
		sum += ratio.value
		if sum > 1+1e-9 {
			return jsonhttp.Refuse(place+ratio.name, ratio.value,
				"a value that keeps the sum of failRatio, slowRatio, hangRatio and resetRatio at 1 or less")
		}
	}
	return nil
}

// failCode is the status of a failure.
func (r Rule) failCode() int {
	if r.FailCode == 0 {
		return 503
	}
	return r.FailCode
}

// failStatus is the gRPC status of a failure.
func (r Rule) failStatus() codes.Code {
	if r.FailStatus == 0 {
		return codes.Unavailable
	}
	return codes.Code(r.FailStatus)
}

// action is what happens to one request.
type action string

const (
	actAnswer action = "answer"
	actFail   action = "fail"
	actSlow   action = "slow"
	actHang   action = "hang"
	actReset  action = "reset"
	// actRefuse is more than MaxInFlight at once.
	actRefuse action = "refuse"
)

// decide turns a draw from [0, 1) into an action. Attempt counts from 1.
func (r Rule) decide(draw float64, attempt int) action {
	hang := r.HangRatio
	reset := hang + r.ResetRatio
	fail := reset + r.FailRatio
	slow := fail + r.SlowRatio
	switch {
	case draw < hang:
		return actHang
	case draw < reset:
		return actReset
	case draw < fail:
		if r.FailAttempts > 0 && attempt > r.FailAttempts {
			return actAnswer
		}
		return actFail
	case draw < slow:
		return actSlow
	default:
		return actAnswer
	}
}

// wait is how long to wait before an action, given another draw from [0, 1).
func (r Rule) wait(act action, draw float64) time.Duration {
	wait := time.Duration(r.Delay) + time.Duration(draw*float64(r.Jitter))
	if act == actSlow {
		wait += time.Duration(r.SlowDelay)
	}
	return wait
}
