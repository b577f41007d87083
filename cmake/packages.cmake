# Debian packages, one for each floor that somebody installs by itself: ./dev package.
include(GNUInstallDirs)
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON) # not the tests; who packs builds `programs` first

set(systemd_units lib/systemd/system)
install(FILES schema/klaxon.schema.json DESTINATION ${CMAKE_INSTALL_DATADIR}/klaxon COMPONENT klaxon)
install(DIRECTORY schema/events schema/samples DESTINATION ${CMAKE_INSTALL_DATADIR}/klaxon COMPONENT klaxon FILES_MATCHING PATTERN "*.json")
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT klaxon)
install(FILES README.md DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT klaxon)
install(FILES deploy/systemd/klaxon-collector.service DESTINATION ${systemd_units} COMPONENT klaxon-collector)
install(FILES deploy/systemd/klaxon-sink@.service DESTINATION ${systemd_units} COMPONENT klaxon-sinks)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_CONTACT "The klaxon developers <klaxon@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL klaxon klaxon-collector klaxon-sinks)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_SECTION admin)
set(CPACK_DEBIAN_KLAXON_PACKAGE_NAME klaxon)
set(CPACK_DEBIAN_KLAXON-COLLECTOR_PACKAGE_NAME klaxon-collector)
set(CPACK_DEBIAN_KLAXON-SINKS_PACKAGE_NAME klaxon-sinks)
foreach(package KLAXON KLAXON-COLLECTOR KLAXON-SINKS)
    set(CPACK_DEBIAN_${package}_PACKAGE_RECOMMENDS ca-certificates)
endforeach()
set(CPACK_COMPONENT_KLAXON_DESCRIPTION "what happens in Kubernetes clusters, told: command line
 Checks configurations, tries channels, follows and searches the topics, and deals with dead letters and silences. With the
 documentation and the schemas.")
set(CPACK_COMPONENT_KLAXON-COLLECTOR_DESCRIPTION "what happens in Kubernetes clusters, told: collector
 Streams what the API servers report onto Kafka topics, each change exactly once.")
set(CPACK_COMPONENT_KLAXON-SINKS_DESCRIPTION "what happens in Kubernetes clusters, told: sinks
 Read the topics and tell people: Slack, e-mail, Microsoft Teams, ntfy, webhooks, Azure Log Analytics.")
include(CPack)
