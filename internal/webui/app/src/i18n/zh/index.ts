import type { Messages } from '..'
import audit from './audit'
import clients from './clients'
import fleet from './fleet'
import frame from './frame'
import groups from './groups'
import keys from './keys'
import operations from './operations'
import overview from './overview'
import requests from './requests'
import settings from './settings'
import start from './start'

const messages: Messages = { ...frame, audit, clients, fleet, groups, keys, operations, overview, requests, settings, start }

export default messages
