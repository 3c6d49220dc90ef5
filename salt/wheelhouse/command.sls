# The environment that wheelhouse lives in, for `builder` and `server`, which install it with what each of them needs.
{%- from "wheelhouse/map.jinja" import settings, environment, system_packages, wheel_file with context %}

{%- if environment == settings.command %}
wheelhouse environment:
  test.fail_without_changes:
    - name: "pillar wheelhouse:command has to be <an environment>/bin/wheelhouse, and is {{ settings.command }}"

{%- else %}
  {%- if system_packages %}
wheelhouse system packages:
  pkg.installed:
    - pkgs: {{ system_packages | json }}
    - require_in:
      - wheelhouse: wheelhouse environment
  {%- endif %}

wheelhouse environment:
  wheelhouse.environment:
    - name: {{ environment | json }}
    - python: {{ settings.python | json }}
    - installer: {{ settings.installer | json }}

  {%- if settings.wheel %}

wheelhouse wheel:
  file.managed:
    - name: {{ wheel_file | json }}
    - source: {{ settings.wheel | json }}
    - mode: "0644"
    - makedirs: true
    - require:
      - wheelhouse: wheelhouse environment
  {%- endif %}
{%- endif %}
