package render

import (
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Scale is how many replicas a workload has.
//
//sumtype:decl
type Scale interface {
	validateScale(*checker)
	// lowerScale gives the Deployment's replicas, nil where something else decides them, and that
	// something else.
	lowerScale(deployment metav1.ObjectMeta) (*int32, []Object)
	// most is the highest number of replicas that there can be.
	most() int32
}

// Fixed is a number of replicas. 0 suspends the workload.
type Fixed struct {
	Replicas int32
}

// Autoscale adds and removes replicas to keep the mean use at a share of what is requested, in percent.
// A target of 0 is not looked at; at least one must be set.
type Autoscale struct {
	Min, Max    int32
	CPU, Memory int32
}

var (
	_ Scale = Fixed{}
	_ Scale = Autoscale{}
)

func (f Fixed) validateScale(c *checker) {
	if f.Replicas < 0 {
		c.at("replicas").invalid(f.Replicas, "must not be negative")
	}
}

func (f Fixed) lowerScale(metav1.ObjectMeta) (*int32, []Object) { return new(f.Replicas), nil }

func (f Fixed) most() int32 { return f.Replicas }

func (a Autoscale) validateScale(c *checker) {
	if a.Min < 1 {
		c.at("min").invalid(a.Min, "must be at least 1")
	}
	if a.Max < a.Min {
		c.at("max").invalid(a.Max, "must not be less than min")
	}
	for name, percent := range map[string]int32{"cpu": a.CPU, "memory": a.Memory} {
		if percent < 0 || percent > 100 {
			c.at(name).invalid(percent, "must be a share of the request from 1 to 100, or 0 for none")
		}
	}
	if a.CPU == 0 && a.Memory == 0 {
		c.at("cpu").required("set cpu or memory, such as 70")
	}
}

func (a Autoscale) lowerScale(deployment metav1.ObjectMeta) (*int32, []Object) {
	var metrics []autoscalingv2.MetricSpec
	add := func(name corev1.ResourceName, percent int32) {
		if percent == 0 {
			return
		}
		metrics = append(metrics, autoscalingv2.MetricSpec{
			Type: autoscalingv2.ResourceMetricSourceType,
			Resource: &autoscalingv2.ResourceMetricSource{
				Name:   name,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(percent)},
			},
		})
	}
	add(corev1.ResourceCPU, a.CPU)
	add(corev1.ResourceMemory, a.Memory)
	return nil, []Object{&autoscalingv2.HorizontalPodAutoscaler{
		TypeMeta:   metav1.TypeMeta{APIVersion: "autoscaling/v2", Kind: "HorizontalPodAutoscaler"},
		ObjectMeta: *deployment.DeepCopy(),
		Spec: autoscalingv2.HorizontalPodAutoscalerSpec{
			ScaleTargetRef: autoscalingv2.CrossVersionObjectReference{APIVersion: "apps/v1", Kind: "Deployment", Name: deployment.Name},
			MinReplicas:    new(a.Min),
			MaxReplicas:    a.Max,
			Metrics:        metrics,
			// Up at once, down slowly: a websocket that is closed comes back as load.
			Behavior: &autoscalingv2.HorizontalPodAutoscalerBehavior{
				ScaleDown: &autoscalingv2.HPAScalingRules{
					StabilizationWindowSeconds: new(int32(300)),
					Policies:                   []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 1, PeriodSeconds: 60}},
				},
			},
		},
	}}
}

func (a Autoscale) most() int32 { return a.Max }
