# A minion that builds: what `wheelhouse build --farm salt` sends to it, and `salt MINION wheelhouse.build PROJECT`.
{%- from "wheelhouse/map.jinja" import settings, installed with context %}
{%- set usual = "/opt/wheelhouse/bin/wheelhouse" %}

include:
  - wheelhouse.command

{{ installed("wheelhouse builder", settings.builder.extras) }}

# Grains cannot see the pillar: a command in another place stands in the minion's own configuration.
wheelhouse minion configuration:
{%- if settings.command == usual %}
  file.absent:
    - name: {{ settings.builder.minion_conf | json }}
{%- else %}
  file.managed:
    - name: {{ settings.builder.minion_conf | json }}
    - contents: |
        # Written by Salt (wheelhouse.builder). Read when the minion starts.
        wheelhouse:
          command: {{ settings.command | json }}
    - mode: "0644"
    - makedirs: true
{%- endif %}

# The farm finds builders by the grain `wheelhouse`.
wheelhouse grains:
  module.run:
    - saltutil.refresh_grains: []
    - onchanges:
      - wheelhouse: wheelhouse builder

{%- if settings.builder.container_engine %}

wheelhouse container engine:
  pkg.installed:
    - name: {{ settings.builder.container_engine | json }}
    - reload_grains: true
{%- endif %}

{%- if settings.builder.registry_source %}

wheelhouse registry:
  file.recurse:
    - name: {{ settings.registry | json }}
    - source: {{ settings.builder.registry_source | json }}
    - makedirs: true
{%- endif %}
