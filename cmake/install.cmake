# cmake --install build/release --prefix DIR installs everything that is useful without the sources:
#
#   bin/birkhoff             the binary
#   bin/birkhoff-mpirun      the launcher: a link to share/birkhoff/launch/mpirun.sh
#   share/birkhoff/configs   configs that come with Birkhoff
#   share/birkhoff/scripts   scripts that need no build: report, roofline, tokenize
#   share/doc/birkhoff       README, licence, docs
#
# train.sh and the studies build the binary that they run, so they stay with the sources.
include(GNUInstallDirs)
set(share ${CMAKE_INSTALL_DATADIR}/birkhoff)
install(TARGETS birkhoff RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(PROGRAMS launch/mpirun.sh DESTINATION ${share}/launch)
install(CODE "
  set(bin \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  file(RELATIVE_PATH launcher \"\${bin}\"
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${share}/launch/mpirun.sh\")
  file(CREATE_LINK \"\${launcher}\" \"\${bin}/birkhoff-mpirun\" SYMBOLIC)")
install(DIRECTORY configs DESTINATION ${share})
install(PROGRAMS scripts/report.py scripts/roofline.py scripts/tokenize.py
  DESTINATION ${share}/scripts)
install(FILES scripts/requirements.txt scripts/requirements-tokenize.txt
  DESTINATION ${share}/scripts)
install(FILES README.md LICENSE CHANGELOG.md SECURITY.md DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs DESTINATION ${CMAKE_INSTALL_DOCDIR})
