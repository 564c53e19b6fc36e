package render

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// The narrow shapes of custom resources whose own API modules are too heavy to compile, or are not to be
// had: just the fields that render sets, under the names of the CRDs of the versions given.

type ref struct {
	Name string `json:"name"`
}

type keyRef struct {
	Name string `json:"name"`
	Key  string `json:"key"`
}

// CloudNativePG 1.30, postgresql.cnpg.io/v1.

type cnpgCluster struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              cnpgClusterSpec `json:"spec"`
}

type cnpgClusterSpec struct {
	Instances             int32                       `json:"instances"`
	ImageName             string                      `json:"imageName"`
	ImagePullPolicy       corev1.PullPolicy           `json:"imagePullPolicy"`
	InheritedMetadata     cnpgInherited               `json:"inheritedMetadata"`
	Bootstrap             cnpgBootstrap               `json:"bootstrap"`
	PostgreSQL            cnpgPostgreSQL              `json:"postgresql"`
	Managed               *cnpgManaged                `json:"managed,omitempty"`
	Storage               cnpgStorage                 `json:"storage"`
	WALStorage            *cnpgStorage                `json:"walStorage,omitempty"`
	Resources             corev1.ResourceRequirements `json:"resources"`
	Affinity              cnpgAffinity                `json:"affinity"`
	PriorityClassName     string                      `json:"priorityClassName"`
	PrimaryUpdateStrategy string                      `json:"primaryUpdateStrategy"`
	PrimaryUpdateMethod   string                      `json:"primaryUpdateMethod"`
	EnablePDB             bool                        `json:"enablePDB"`
	EnableSuperuserAccess bool                        `json:"enableSuperuserAccess"`
	SeccompProfile        corev1.SeccompProfile       `json:"seccompProfile"`
	Plugins               []cnpgPlugin                `json:"plugins,omitempty"`
}

type cnpgInherited struct {
	Labels map[string]string `json:"labels"`
}

type cnpgBootstrap struct {
	InitDB cnpgInitDB `json:"initdb"`
}

type cnpgInitDB struct {
	Database      string `json:"database"`
	Owner         string `json:"owner"`
	DataChecksums bool   `json:"dataChecksums"`
	Encoding      string `json:"encoding"`
	Secret        *ref   `json:"secret,omitempty"`
}

type cnpgPostgreSQL struct {
	Parameters             map[string]string `json:"parameters"`
	SharedPreloadLibraries []string          `json:"shared_preload_libraries,omitempty"`
	Synchronous            *cnpgSynchronous  `json:"synchronous,omitempty"`
}

type cnpgSynchronous struct {
	Method         string `json:"method"`
	Number         int    `json:"number"`
	DataDurability string `json:"dataDurability"`
	FailoverQuorum bool   `json:"failoverQuorum"`
}

type cnpgManaged struct {
	Roles []cnpgRole `json:"roles"`
}

type cnpgRole struct {
	Name            string   `json:"name"`
	Ensure          string   `json:"ensure"`
	Login           bool     `json:"login"`
	InRoles         []string `json:"inRoles,omitempty"`
	ConnectionLimit int64    `json:"connectionLimit"`
	PasswordSecret  ref      `json:"passwordSecret"`
}

type cnpgStorage struct {
	Size               string  `json:"size"`
	StorageClass       *string `json:"storageClass,omitempty"`
	ResizeInUseVolumes bool    `json:"resizeInUseVolumes"`
}

type cnpgAffinity struct {
	EnablePodAntiAffinity bool                `json:"enablePodAntiAffinity"`
	PodAntiAffinityType   string              `json:"podAntiAffinityType"`
	TopologyKey           string              `json:"topologyKey"`
	NodeSelector          map[string]string   `json:"nodeSelector,omitempty"`
	Tolerations           []corev1.Toleration `json:"tolerations,omitempty"`
}

type cnpgPlugin struct {
	Name          string            `json:"name"`
	IsWALArchiver bool              `json:"isWALArchiver,omitempty"`
	Parameters    map[string]string `json:"parameters,omitempty"`
}

type cnpgDatabase struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              cnpgDatabaseSpec `json:"spec"`
}

type cnpgDatabaseSpec struct {
	Cluster       ref             `json:"cluster"`
	Name          string          `json:"name"`
	Owner         string          `json:"owner"`
	ReclaimPolicy string          `json:"databaseReclaimPolicy"`
	Extensions    []cnpgExtension `json:"extensions"`
}

type cnpgExtension struct {
	Name   string `json:"name"`
	Ensure string `json:"ensure"`
}

type cnpgScheduledBackup struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              cnpgScheduledBackupSpec `json:"spec"`
}

type cnpgScheduledBackupSpec struct {
	Cluster              ref        `json:"cluster"`
	Schedule             string     `json:"schedule"`
	Immediate            bool       `json:"immediate"`
	BackupOwnerReference string     `json:"backupOwnerReference"`
	Method               string     `json:"method"`
	PluginConfiguration  cnpgPlugin `json:"pluginConfiguration"`
}

type cnpgPooler struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              cnpgPoolerSpec `json:"spec"`
}

type cnpgPoolerSpec struct {
	Cluster   ref                    `json:"cluster"`
	Type      string                 `json:"type"`
	Instances int32                  `json:"instances"`
	PgBouncer cnpgPgBouncer          `json:"pgbouncer"`
	Template  corev1.PodTemplateSpec `json:"template"`
}

type cnpgPgBouncer struct {
	PoolMode   string            `json:"poolMode"`
	Parameters map[string]string `json:"parameters,omitempty"`
}

// Barman Cloud plugin 0.13, barmancloud.cnpg.io/v1.

type barmanObjectStore struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              barmanObjectStoreSpec `json:"spec"`
}

type barmanObjectStoreSpec struct {
	Configuration   barmanConfiguration `json:"configuration"`
	RetentionPolicy string              `json:"retentionPolicy"`
	Sidecar         barmanSidecar       `json:"instanceSidecarConfiguration"`
}

type barmanConfiguration struct {
	DestinationPath string            `json:"destinationPath"`
	EndpointURL     string            `json:"endpointURL"`
	S3Credentials   barmanCredentials `json:"s3Credentials"`
	WAL             barmanWAL         `json:"wal"`
	Data            barmanData        `json:"data"`
}

type barmanCredentials struct {
	AccessKeyID     keyRef `json:"accessKeyId"`
	SecretAccessKey keyRef `json:"secretAccessKey"`
}

type barmanWAL struct {
	Compression string `json:"compression"`
	MaxParallel int    `json:"maxParallel"`
}

type barmanData struct {
	Compression string `json:"compression"`
	Jobs        int32  `json:"jobs"`
}

type barmanSidecar struct {
	Env       []corev1.EnvVar             `json:"env"`
	Resources corev1.ResourceRequirements `json:"resources"`
}

// external-dns 0.20, externaldns.k8s.io/v1alpha1.

type dnsEndpoint struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              dnsEndpointSpec `json:"spec"`
}

type dnsEndpointSpec struct {
	Endpoints []dnsRecord `json:"endpoints"`
}

type dnsRecord struct {
	DNSName    string   `json:"dnsName"`
	RecordType string   `json:"recordType"`
	RecordTTL  int64    `json:"recordTTL"`
	Targets    []string `json:"targets"`
}

// External Secrets 1.x, external-secrets.io/v1.

type externalSecret struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              externalSecretSpec `json:"spec"`
}

type externalSecretSpec struct {
	RefreshInterval string               `json:"refreshInterval"`
	SecretStoreRef  secretStoreRef       `json:"secretStoreRef"`
	Target          externalSecretTarget `json:"target"`
	Data            []externalSecretData `json:"data"`
}

type secretStoreRef struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
}

type externalSecretTarget struct {
	Name           string                  `json:"name"`
	CreationPolicy string                  `json:"creationPolicy"`
	DeletionPolicy string                  `json:"deletionPolicy"`
	Template       *externalSecretTemplate `json:"template,omitempty"`
}

type externalSecretTemplate struct {
	EngineVersion string            `json:"engineVersion"`
	Type          corev1.SecretType `json:"type"`
	Data          map[string]string `json:"data"`
}

type externalSecretData struct {
	SecretKey string            `json:"secretKey"`
	RemoteRef externalSecretRef `json:"remoteRef"`
}

type externalSecretRef struct {
	Key      string `json:"key"`
	Property string `json:"property"`
}

// Envoy Gateway 1.9, gateway.envoyproxy.io/v1alpha1.

type backendTrafficPolicy struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              backendTrafficPolicySpec `json:"spec"`
}

type backendTrafficPolicySpec struct {
	TargetRefs    []targetRef   `json:"targetRefs"`
	RequestBuffer requestBuffer `json:"requestBuffer"`
}

type targetRef struct {
	Group string `json:"group"`
	Kind  string `json:"kind"`
	Name  string `json:"name"`
}

type requestBuffer struct {
	Limit int64 `json:"limit"` // bytes
}
