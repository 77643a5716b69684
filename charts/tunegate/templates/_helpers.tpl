{{/* The chart's name. */}}
{{- define "tunegate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/*
The beginning of every object's name: short enough that the longest suffix fits, and such that a
Service can have it, which takes less than a release's name may hold.
*/}}
{{- define "tunegate.fullname" -}}
{{- $name := include "tunegate.name" . }}
{{- $full := contains $name .Release.Name | ternary .Release.Name (printf "%s-%s" .Release.Name $name) }}
{{- $full = default $full .Values.fullnameOverride | replace "." "-" | trunc 40 | trimSuffix "-" }}
{{- $first := .Values.webhook.enabled | ternary "[a-z]" "[a-z0-9]" }}
{{- if not (regexMatch (printf "^%s([-a-z0-9]*[a-z0-9])?$" $first) $full) }}
{{- fail (printf "%q cannot begin the name of a Service, which has a-z, 0-9 and - and begins with a letter: set fullnameOverride" $full) }}
{{- end }}
{{- $full }}
{{- end }}

{{- define "tunegate.agentName" -}}
{{ include "tunegate.fullname" . }}-agent
{{- end }}

{{- define "tunegate.webhookName" -}}
{{ include "tunegate.fullname" . }}-webhook
{{- end }}

{{/* The ConfigMap of NFS servers that the webhook's leader writes and agents mount. */}}
{{- define "tunegate.storageConfigMap" -}}
{{ dig "storage" "configMap" (printf "%s-storage-endpoints" (include "tunegate.fullname" .)) (default dict .Values.webhook.config) }}
{{- end }}

{{- define "tunegate.agentAccount" -}}
{{ default (include "tunegate.agentName" .) .Values.agent.serviceAccount.name }}
{{- end }}

{{- define "tunegate.webhookAccount" -}}
{{ default (include "tunegate.webhookName" .) .Values.webhook.serviceAccount.name }}
{{- end }}

{{/* Selector labels: never changed, so never a version. Call with (list . "agent"). */}}
{{- define "tunegate.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tunegate.name" $root | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{/* Labels of an object. Call with (list . "agent"). */}}
{{- define "tunegate.labels" -}}
{{- $root := index . 0 -}}
{{ include "tunegate.selectorLabels" . }}
app.kubernetes.io/version: {{ $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
app.kubernetes.io/part-of: tunegate
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- with $root.Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/*
Labels of an object beside those that a person has for it alone, which win; each key once. Call with
(list . "agent" LABELS).
*/}}
{{- define "tunegate.labelsAnd" -}}
{{ mergeOverwrite (include "tunegate.labels" . | fromYaml) (default dict (index . 2)) | toYaml }}
{{- end }}

{{/* Labels of a pod: without versions, so that a new chart alone restarts nothing. Call with
(list . "agent" LABELS): those of the pods alone, which win. */}}
{{- define "tunegate.podLabels" -}}
{{ include "tunegate.selectorLabels" . }}
app.kubernetes.io/part-of: tunegate
{{- with mergeOverwrite (deepCopy (default dict (index . 0).Values.commonLabels)) (default dict (index . 2)) }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* An image's reference. Call with (list . .Values.agent.image). */}}
{{- define "tunegate.image" -}}
{{- $root := index . 0 -}}{{- $image := index . 1 -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default $root.Chart.AppVersion $image.tag }}
{{- end }}
{{- end }}

{{/*
A volume with the pod's own token, certificate authority and namespace: what automounting gives,
written out, so that no container gets it which does not name it.
*/}}
{{- define "tunegate.apiAccessVolume" -}}
name: api-access
projected:
  defaultMode: 0444
  sources:
    - serviceAccountToken:
        path: token
        expirationSeconds: 3607
    - configMap:
        name: kube-root-ca.crt
        items:
          - key: ca.crt
            path: ca.crt
    - downwardAPI:
        items:
          - path: namespace
            fieldRef:
              fieldPath: metadata.namespace
{{- end }}

{{- define "tunegate.apiAccessMount" -}}
name: api-access
mountPath: /var/run/secrets/kubernetes.io/serviceaccount
readOnly: true
{{- end }}

{{/* "yes" where the webhook keeps the list of NFS servers: agents wait for one that is to come. */}}
{{- define "tunegate.keepsStorageList" -}}
{{- if and .Values.webhook.enabled (dig "storage" "enabled" true (default dict .Values.webhook.config)) }}yes{{ end }}
{{- end }}

{{/*
The agent's settings file as JSON, which starts faster than YAML. It listens on IPv4 and IPv6: the
kubelet probes the node's own address, whichever it is.
*/}}
{{- define "tunegate.agentConfig" -}}
{{- $own := dict "gate" (dict "taints" .Values.gate.taints) "server" (dict "address" "") -}}
{{- if include "tunegate.keepsStorageList" . -}}
{{- $list := printf "%s/%s" .Release.Namespace (include "tunegate.storageConfigMap" .) -}}
{{- $own = set $own "storage" (dict "endpointsFile" "/etc/tunegate/storage/endpoints" "endpointsConfigMap" $list) -}}
{{- end -}}
{{ mergeOverwrite $own (deepCopy (default dict .Values.agent.config)) | toJson }}
{{- end }}

{{/* The agent's port; 0: it has no server. */}}
{{- define "tunegate.agentPort" -}}
{{ dig "server" "port" 9469 (default dict .Values.agent.config) | int }}
{{- end }}

{{/* One term for each GPU label; terms are ORed. */}}
{{- define "tunegate.gpuNodeSelectorTerms" -}}
{{- range $key, $values := .Values.agent.gpuLabels -}}
- matchExpressions:
    - key: {{ $key | quote }}
      {{- if kindIs "slice" $values }}
      operator: In
      values: {{ toJson $values }}
      {{- else }}
      operator: Exists
      {{- end }}
{{ end }}
{{- end }}

{{/* "yes" where the settings, or a profile's, ask for what PersistentVolumes want. */}}
{{- define "tunegate.agentReadsVolumes" -}}
{{- $asks := dig "nfs" "persistentVolumes" false (default dict .Values.agent.config) }}
{{- range (default dict .Values.agent.config).profiles }}
{{- $asks = or $asks (dig "settings" "nfs" "persistentVolumes" false .) }}
{{- end }}
{{- if $asks }}yes{{ end }}
{{- end }}

{{/* What a probe of the agent asks. Call with (list . "/healthz"). */}}
{{- define "tunegate.agentProbe" -}}
{{- $address := dig "server" "address" "" (default dict (index . 0).Values.agent.config) -}}
path: {{ index . 1 }}
port: metrics
{{- if not (has $address (list "" "0.0.0.0" "::")) }}
host: {{ $address | quote }}
{{- end }}
{{- end }}
