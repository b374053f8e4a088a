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

// Asked says what a step asks for and what it will be: "asked 1 %, 3 client pods: 1 pod, 33 %".
func Asked(e policy.Exposure, candidates int) string {
	switch {
	case e.Mode == policy.Staged || e.By == policy.All:
		return ""
	case e.By == policy.ByInstance && candidates > 0:
		n := InstanceCount(e, candidates)
		return fmt.Sprintf("asked %.4g %%, %d client pods: %d, %.0f %%", e.Share*100, candidates, n, 100*float64(n)/float64(candidates))
	case e.By == policy.ByRequest:
		if real := e.Window.Share(); math.Abs(real-e.Share) > 0.00005 {
			return fmt.Sprintf("asked %.4g %%, %d of %d ids: %.3f %%", e.Share*100, e.Window.Width, policy.Buckets, real*100)
		}
	}
	return ""
}
