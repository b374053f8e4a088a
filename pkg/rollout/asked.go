package rollout

import (
	"fmt"
	"math"

	"github.com/meshpol/meshpol/pkg/policy"
)

// InstanceCount is the number of pods of a share: rounded up, at least one, and short of all while a bake holds some
// back.
func InstanceCount(e policy.Exposure, pods int) int {
	if pods <= 0 || !(e.Share > 0) { // written so that NaN is nobody
		return 0
	}
	n := int(math.Ceil(min(e.Share, 1)*float64(pods) - 1e-9))
	if e.Share < 1 && n >= pods && pods > 1 {
		n = pods - 1
	}
	return max(n, 1)
}

// Reach says how much an exposure comes to: "1 pod (12.5 %)" by instance where the number of client pods is known, else what
// was asked for.
func Reach(e policy.Exposure, candidates int) string {
	if e.By != policy.ByInstance || e.Mode == policy.Staged || candidates <= 0 {
		return e.String()
	}
	n, word := InstanceCount(e, candidates), "pods"
	if n == 1 {
		word = "pod"
	}
	return fmt.Sprintf("%d %s (%.3g %%)", n, word, 100*float64(n)/float64(candidates))
}

// Asked says what a step asks for where it will be something else: "asked 1 % of 3 client pods".
func Asked(e policy.Exposure, candidates int) string {
	switch {
	case e.Mode == policy.Staged || e.By == policy.All:
		return ""
	case e.By == policy.ByInstance && candidates > 0:
		word := "client pods"
		if candidates == 1 {
			word = "client pod"
		}
		return fmt.Sprintf("asked %.4g %% of %d %s", e.Share*100, candidates, word)
	case e.By == policy.ByRequest:
		if real := e.Window.Share(); math.Abs(real-e.Share) > 0.00005 {
			return fmt.Sprintf("asked %.4g %%, %d of %d ids: %.3f %%", e.Share*100, e.Window.Width, policy.Buckets, real*100)
		}
	}
	return ""
}
