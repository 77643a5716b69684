{{/* The webhook's settings file. */}}
{{- define "tunegate.webhookConfig" -}}
{{- $name := include "tunegate.webhookName" . -}}
{{- $mutating := list $name (printf "%s-volumes" $name) (printf "%s-nodes" $name) -}}
{{- $certificates := dict "secret" (include "tunegate.servingSecret" .) "service" $name "mutatingConfigurations" $mutating "validatingConfigurations" (list $name) -}}
{{- $own := dict "certificates" $certificates "policy" (dict "file" "/etc/tunegate/policy/policy.yaml") "storage" (dict "configMap" (include "tunegate.storageConfigMap" .)) -}}
{{- if eq (include "tunegate.webhookHasFiles" .) "yes" }}
{{- $_ := set $own "tls" (dict "certificateFile" "/etc/tunegate/tls/tls.crt" "keyFile" "/etc/tunegate/tls/tls.key") }}
{{- end }}
{{- if .Values.mutatingAdmissionPolicy.enabled }}
{{- /* what the API server injects bears no record, so the auditor would take it for missed */}}
{{- $_ := set $own "audit" (dict "enabled" false) }}
{{- end }}
{{- with .Values.webhook.hooks.nodes }}{{ if .enabled }}
{{- $pairs := list }}{{ range $key, $value := .selector }}{{ $pairs = append $pairs (printf "%s=%s" $key $value) }}{{ end }}
{{- $_ := set $own "nodes" (dict "selector" (join "," $pairs)) }}
{{- end }}{{ end -}}
{{ mergeOverwrite $own (deepCopy (default dict .Values.webhook.config)) | toYaml }}
{{- end }}

{{/* What is injected. */}}
{{- define "tunegate.webhookPolicy" -}}
{{ mergeOverwrite (dict "gateTaints" .Values.gate.taints) (deepCopy (default dict .Values.webhook.policy)) | toYaml }}
{{- end }}

{{/* "yes" where certificates come as files: the webhook then keeps none, and needs no right to. */}}
{{- define "tunegate.webhookHasFiles" -}}
{{- if or .Values.webhook.certificates.certManager.enabled .Values.webhook.certificates.existingSecret (dig "tls" "certificateFile" "" (default dict .Values.webhook.config)) }}yes{{ end }}
{{- end }}

{{/* The Secret whose files are mounted; empty where the webhook makes its own. */}}
{{- define "tunegate.webhookTlsSecret" -}}
{{- if .Values.webhook.certificates.certManager.enabled }}
{{- include "tunegate.webhookName" . }}-tls
{{- else }}
{{- default "" .Values.webhook.certificates.existingSecret }}
{{- end }}
{{- end }}

{{- define "tunegate.webhookPort" -}}
{{ dig "server" "port" 9443 (default dict .Values.webhook.config) | int }}
{{- end }}

{{- define "tunegate.webhookPlainPort" -}}
{{ dig "status" "port" 9470 (default dict .Values.webhook.config) | int }}
{{- end }}

{{/* "yes" where pods are injected by the webhook, not by the API server itself. */}}
{{- define "tunegate.webhookTakesPods" -}}
{{- if and .Values.webhook.hooks.pods (not .Values.mutatingAdmissionPolicy.enabled) }}yes{{ end }}
{{- end }}

{{/* Seconds that a replica may take to end: sleep, propagation, last answers, and room. */}}
{{- define "tunegate.webhookGraceSeconds" -}}
{{- $drain := (default dict .Values.webhook.config).drain | default dict -}}
{{- add .Values.webhook.preStopSleepSeconds (ceil (default 5 $drain.propagationSeconds)) (ceil (default 10 $drain.stopSeconds)) 10 }}
{{- end }}

{{/* Metadata of a webhook configuration. Call with (list . NAME). */}}
{{- define "tunegate.webhookConfiguration" -}}
{{- $root := index . 0 -}}
name: {{ index . 1 | quote }}
labels: {{- include "tunegate.labels" (list $root "webhook") | nindent 2 }}
annotations:
  # AKS rewrites the selectors of what lacks it, and owns them from then on: Helm 4 cannot upgrade
  admissions.enforcer/disabled: "true"
  {{- if $root.Values.webhook.certificates.certManager.enabled }}
  cert-manager.io/inject-ca-from: {{ $root.Release.Namespace }}/{{ include "tunegate.webhookName" $root }}
  {{- end }}
{{- end }}

{{/* What every hook has. Call with (list . "/path"). */}}
{{- define "tunegate.webhookCall" -}}
{{- $root := index . 0 -}}
clientConfig:
  service:
    namespace: {{ $root.Release.Namespace | quote }}
    name: {{ include "tunegate.webhookName" $root | quote }}
    path: {{ index . 1 }}
    port: 443
  {{- with $root.Values.webhook.certificates }}
  {{- if and .existingSecret .caBundle }}
  caBundle: {{ b64enc .caBundle }}
  {{- end }}
  {{- end }}
failurePolicy: Ignore
matchPolicy: Equivalent
sideEffects: NoneOnDryRun
timeoutSeconds: {{ $root.Values.webhook.timeoutSeconds }}
admissionReviewVersions: ["v1"]
{{- end }}

{{/*
Namespaces that are asked about; AKS marks its own by the last two labels. Call with
(list . "NotIn" (list "disabled" "enabled")).
*/}}
{{- define "tunegate.webhookNamespaces" -}}
{{- $root := index . 0 -}}
{{- $out := concat (list "kube-system" "kube-public" "kube-node-lease" $root.Release.Namespace) (default list $root.Values.webhook.excludedNamespaces) | uniq -}}
matchExpressions:
  - key: kubernetes.io/metadata.name
    operator: NotIn
    values: {{ toJson $out }}
  - key: tunegate.io/inject
    operator: {{ index . 1 }}
    values: {{ index . 2 | toJson }}
  - key: control-plane
    operator: NotIn
    values: ["true"]
  - key: kubernetes.azure.com/managedby
    operator: NotIn
    values: ["aks"]
{{- end }}

{{- define "tunegate.notOptedOut" -}}
matchExpressions:
  - key: tunegate.io/inject
    operator: NotIn
    values: ["disabled"]
{{- end }}

{{- define "tunegate.notAMirrorPod" -}}
name: not-a-mirror-pod
expression: "!has(object.metadata.annotations) || !('kubernetes.io/config.mirror' in object.metadata.annotations)"
{{- end }}

{{- define "tunegate.podRule" -}}
apiGroups: [""]
apiVersions: ["v1"]
resources: ["pods"]
operations: ["CREATE"]
scope: Namespaced
{{- end }}

{{/*
CEL: whether a container of a list shows a sign of vLLM or of an accelerator. Call with the pod's
spec and the list's name, (list "object.spec" "containers").
*/}}
{{- define "tunegate.celHint" -}}
{{- $sign := "matches('(?i)vllm|llm-d|kaito|sagemaker-entrypoint')" -}}
{{- $image := printf "(has(c.image) && c.image.%s)" $sign -}}
{{- $command := printf "(has(c.command) && c.command.exists(w, w.%s))" $sign -}}
{{- $args := printf "(has(c.args) && c.args.exists(w, w.%s))" $sign -}}
{{- $env := printf "(has(c.env) && c.env.exists(e, e.name.%s || (has(e.value) && e.value.%s)))" $sign $sign -}}
{{- $limits := "(has(c.resources) && has(c.resources.limits) && c.resources.limits.exists(r, r.contains('/')))" -}}
{{- $hint := join " || " (list $image $command $args $env $limits) -}}
{{- $place := join "." . -}}
(has({{ $place }}) && {{ $place }}.exists(c, {{ $hint }}))
{{- end }}

{{/* CEL: keeps pods without any sign in the API server. Call with what is above the spec. */}}
{{- define "tunegate.celMayServe" -}}
{{- $spec := printf "%s.spec" . -}}
{{- $label := printf "(has(%s.metadata.labels) && 'tunegate.io/inject' in %s.metadata.labels && %s.metadata.labels['tunegate.io/inject'] == 'enabled')" . . . -}}
has({{ $spec }}.resourceClaims) || {{ $label }} || {{ include "tunegate.celHint" (list $spec "containers") }} || {{ include "tunegate.celHint" (list $spec "initContainers") }}
{{- end }}

{{/* What a probe of the webhook asks. Call with (list . "/healthz"). */}}
{{- define "tunegate.webhookProbe" -}}
httpGet:
  path: {{ index . 1 }}
  port: metrics
{{- end }}

{{/* Replicas share no node and keep off GPU nodes, where that is possible. */}}
{{- define "tunegate.webhookAffinity" -}}
podAntiAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 100
      podAffinityTerm:
        topologyKey: kubernetes.io/hostname
        labelSelector:
          matchLabels: {{- include "tunegate.selectorLabels" (list . "webhook") | nindent 12 }}
{{- with .Values.agent.gpuLabels }}
nodeAffinity:
  preferredDuringSchedulingIgnoredDuringExecution:
    - weight: 50
      preference:
        matchExpressions:
          {{- range $key, $values := . }}
          - key: {{ $key | quote }}
            {{- if kindIs "slice" $values }}
            operator: NotIn
            values: {{ toJson $values }}
            {{- else }}
            operator: DoesNotExist
            {{- end }}
          {{- end }}
{{- end }}
{{- end }}
